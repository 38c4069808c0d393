// Everything is drawn once, and again when something is chosen.

themeButton();
for (const place of document.querySelectorAll(".methods")) place.append(...[methodChoices()].filter(Boolean));
learning();
taskScores();
profiles();
weights();
conflicts();
redraw();
performance.mark("drawn");
document.documentElement.dataset.drawn = "yes";
