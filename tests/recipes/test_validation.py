from __future__ import annotations

import pytest

from tests.recipes.samples import MINIMAL, Refusal, Write, lander


def agent(text: str) -> str:
    return MINIMAL.replace("kind: dqn", f"kind: dqn, {text}")


def balancer(text: str) -> str:
    return MINIMAL.replace("{kind: equal}", text)


def problem(text: str) -> str:
    return MINIMAL.replace("kind: lander", f"kind: lander, {text}")


@pytest.mark.parametrize(
    ("text", "said", "note"),
    [
        ("tuning: {}\n" + MINIMAL, "1:9  `tuning` declares nothing", "^^"),
        ("tuning: {runs: -1}\n" + MINIMAL, "`runs: -1` must be at least 0", "^^"),
        ('tuning: {note: "a\\nb"}\n' + MINIMAL, "`note` is one line of text", "^^"),
        # unknown words
        (agent("lrr: 1"), "3:20  unknown key `lrr`", "^^^ did you mean `lr`?"),
        (agent("zzzz: 1"), "unknown key `zzzz`", "^^^^ known here: kind, network, task_encoding"),
        ("extend: gradnorm_blind\n" + MINIMAL, "1:1  unknown key `extend`", "did you mean `extends`?"),
        (
            agent("loss: mes"),
            "3:26  `loss: mes` is not allowed",
            "^^^ did you mean `mse`? choose from: mse, huber",
        ),
        (
            problem("tasks: [heavy, windi]"),
            "`windi` in `tasks` is not allowed",
            "^^^^^ did you mean `windy`?",
        ),
        (
            balancer("{kind: gradnrom}"),
            "4:18  `kind: gradnrom` is not allowed",
            "^^^^^^^^ did you mean `gradnorm`?",
        ),
        (
            balancer("[{kind: equal}, {kind: gradnrom}]"),
            "`kind: gradnrom` is not allowed",
            "did you mean `gradnorm`?",
        ),
        (balancer("{kind: 5}"), "`kind: 5` is not allowed", "^ choose from: equal, manual"),
        (balancer("{kind: [equal]}"), "`kind` is not allowed", "^^^^^^^ choose from: equal, manual"),
        (MINIMAL.replace("dqn", "ppo"), "`kind: ppo` is not allowed", "^^^ choose from: dqn"),
        (agent("replay: {kind: mixd}"), "`kind: mixd` is not allowed", "did you mean `mixed`?"),
        # a key like a tag of the union
        (balancer("{kind: gradnorm, gradnorm: 1, alpha: x}"), "`alpha: x` must be a number", "^"),
        (
            balancer("{kind: gradnorm, gradnorm: 1}"),
            "4:28  unknown key `gradnorm`",
            "^^^^^^^^ known here: kind, every, alpha",
        ),
        # missing keys
        (
            balancer("{}"),
            "4:11  missing key `kind` in `balancer`",
            "^^ choose from: equal, manual, uncertainty",
        ),
        (
            agent("target: {every: 3}"),
            "missing key `kind` in `target`",
            "choose from: episodes, updates, soft",
        ),
        (balancer("{kind: manual}"), "missing key `weights` in `balancer`", "^^^^^^^^^^^^^^"),
        # wrong types
        (agent("lr: fast"), "`lr: fast` must be a number", "^^^^"),
        (agent("lr: '5'"), "`lr: 5` must be a number", "^^^ leave out the quotes"),
        (agent("lr: true"), "`lr: true` must be a number", "^^^^"),
        (agent("lr: [1]"), "`lr` must be a number", "^^^"),
        (agent("batch_size: 1e3"), "`batch_size: 1e3` must be a whole number", "^^^ write `1000`"),
        (agent("batch_size: 1e300"), "`batch_size: 1e300` must be a whole number", "^^^^^"),
        (agent("batch_size: 1.5"), "`batch_size: 1.5` must be a whole number", "^^^"),
        (agent("hidden: [64, x]"), "`x` in `hidden` must be a whole number", "^"),
        (agent("hidden: [64, [1]]"), "an entry of `hidden` must be a whole number", "^^^"),
        (agent("hidden: 64"), "`hidden: 64` must be a list", "^^"),
        (agent("double: Yes"), "`double: Yes` must be `true` or `false`", "^^^ write `true`"),
        (agent("double: 1"), "`double: 1` must be `true` or `false`", "^"),
        (MINIMAL.replace("mine", "12"), "`name: 12` must be text", '^^ write `"12"`'),
        (
            MINIMAL.replace("mine", "no/slash"),
            "`name: no/slash` is not allowed",
            "^^^^^^^^ The results folder",
        ),
        (MINIMAL.replace("mine", "x" * 101), "has more than 100 characters", "^"),
        (MINIMAL + "evaluation: 3", "`evaluation: 3` must be a mapping of keys to values", "^"),
        (MINIMAL + "evaluation:\n", "5:1  `evaluation:` has no value; it must be a mapping", "^^^^^^^^^^"),
        (
            balancer("gradnorm"),
            "`balancer: gradnorm` must be a mapping",
            "^^^^^^^^ write `balancer: {kind: gradnorm}`",
        ),
        (balancer("[equal]"), "`equal` in `balancer` must be a mapping", "^^^^^ write `{kind: equal}`"),
        (balancer("[[{kind: equal}]]"), "an entry of `balancer` must be a mapping", "^^^^^^^^^^^^^^^"),
        (balancer("{kind: manual, weights: [1]}"), "`weights` must be a mapping of names to values", "^^^"),
        # limits
        (problem("episodes_per_task: 0"), "`episodes_per_task: 0` must be at least 1", "^"),
        (problem("episodes_per_task: -5"), "`episodes_per_task: -5` must be at least 1", "^^"),
        (problem("episodes_per_task: 1000000001"), "must be at most 1000000000", "^^^"),
        (agent("lr: 0"), "`lr: 0` must be above 0", "^"),
        (agent("lr: .inf"), "`lr: .inf` must be finite", "^^^^"),
        (agent("lr: .nan"), "`lr: .nan` must be ", "^^^^"),
        (agent("lr: 1e999"), "`lr: 1e999` must be finite", "^^^^^"),
        (agent("gamma: 1.1"), "`gamma: 1.1` must be at most 1", "^^^"),
        (balancer("{kind: gradnorm, weight_floor: 1}"), "`weight_floor: 1` must be below 1", "^"),
        (problem("tasks: []"), "`tasks` must have at least 1 entry", "^^"),
        (agent("hidden: []"), "`hidden` must have at least 1 entry", "^^"),
        (balancer("[]"), "`balancer` must have at least 1 entry", "^^"),
        (balancer("{kind: manual, weights: {}}"), "`weights` must have at least 1 entry", "^^"),
        # values that do not go together
        (problem("tasks: [heavy, heavy]"), "task `heavy` is listed more than once", "^^^^^"),
        (agent("exploration: {start: 0.1, end: 0.2}"), "`end` (0.2) is above `start` (0.1)", "^^^"),
        (agent("replay: {capacity: 100}"), "`learning_starts` is above `capacity` (100)", "^^^"),
        (agent("replay: {capacity: 600}"), "above one task's share of `capacity` (200)", "^^^"),
        (agent("exploration: {shape: linear}"), "`shape: linear` needs a `length`", "^^^^^^"),
        (agent("exploration: {counts: all_steps}"), "`counts: all_steps` needs a `length`", "^^^^^^^^^"),
        (agent("exploration: {length: 9, decay: 0.9}"), "`decay` has no effect where `length`", "^^^"),
        (agent("exploration: {length: 9, end: 0}"), "an exponential fall never reaches 0", "^"),
        (
            agent("lr_schedule: {kind: linear, episodes: 9, environment_steps: 9}"),
            "give the length of the fall once: `episodes` or `environment_steps`",
            "^",
        ),
        (agent("lr_schedule: {kind: linera}"), "`kind: linera` is not allowed", "did you mean `linear`?"),
        (agent("reward_scale: {kind: fixed, factor: 0}"), "`factor: 0` must be above 0", "^"),
        (agent("replay: {priority: {alpha: 2}}"), "`alpha: 2` must be at most 1", "^"),
        (
            agent("replay: {kind: mixed}").replace(
                "{kind: equal}", "{kind: famo, ideal: {standard: 0.1, windy: 0.1, heavy: 0.1}}"
            ),
            "`ideal` is in units of the whole loss, but mixed replay scales each loss by its share",
            "^",
        ),
        (agent("learn: active_task"), "`learn: active_task` needs `network: independent`", "^^^^^^^^^^^"),
        (agent("per_task: {heavy: {lr: 1}}"), "`per_task` needs `network: independent`", "^^^"),
        (agent("network: independent, task_encoding: onehot"), "use `none`", "^^^^^^"),
        (agent("network: independent, replay: {kind: mixed}"), "need `kind: per_task`", "^^^^^"),
        (
            agent("network: independent, target: {kind: soft}, per_task: {heavy: {target_every: 3}}"),
            "`target_every` needs `target: {kind: episodes}`",
            "^",
        ),
        (
            agent("network: independent, per_task: {heavy: {learning_starts: 40000}}"),
            "`learning_starts` is above one task's share of the replay `capacity` (33333)",
            "^^^^^",
        ),
        (
            agent("network: independent, per_task: {heavvy: {lr: 1}}"),
            "3:53  `heavvy` is not a task of this recipe",
            "^^^^^^ did you mean `heavy`? choose from: standard, windy, heavy",
        ),
        (
            agent("network: independent").replace("{kind: equal}", "[{kind: equal}, {kind: pcgrad}]"),
            "4:34  independent networks share nothing that `pcgrad` could balance",
            "^^^^^^",
        ),
        (
            balancer("{kind: manual, weights: {standard: 1, windy: 1, heavvy: 1}}"),
            "`heavvy` is not a task of this recipe",
            "did you mean `heavy`?",
        ),
        (
            balancer("{kind: manual, weights: {standard: 1}}"),
            "`weights` has no value for `windy`, `heavy`",
            "^^^",
        ),
        (
            balancer("{kind: manual, weights: {standard: 0, windy: 0, heavy: 0}}"),
            "every weight is 0, so nothing would be learned",
            "^^^",
        ),
        (
            balancer("[{kind: equal}, {kind: gradnorm, initial_loss: theoretical}]"),
            "`initial_loss: theoretical` needs `theoretical_losses`",
            "^^^^^^^^^^^",
        ),
        (
            balancer("{kind: gradnorm, theoretical_losses: {standard: 1, windy: 1, heavy: 1}}"),
            "`theoretical_losses` needs `initial_loss: theoretical`",
            "^^^",
        ),
        (
            balancer("{kind: gradnorm, initial_loss: theoretical, theoretical_losses: {standard: 1}}"),
            "`theoretical_losses` has no value for `windy`, `heavy`",
            "^^^",
        ),
    ],
)
def test_one_problem_is_said_once_with_its_place(refusal: Refusal, text: str, said: str, note: str) -> None:
    message = refusal(text)
    assert message.startswith("mine.yaml is not a valid recipe (")
    assert said in message
    assert note in message
    assert sum(said in line for line in message.splitlines()) == 1
    for jargon in ("pydantic", "http", "Input should", "Value error", "tuple", "dictionary"):
        assert jargon not in message


def test_a_single_problem_is_counted_as_one(refusal: Refusal) -> None:
    for text in (
        balancer("{kind: gradnrom}"),
        balancer("[]"),
        balancer("5"),
        agent("hidden: [x]"),
    ):
        assert refusal(text).startswith("mine.yaml is not a valid recipe (1 problem)\n")


def test_missing_keys_of_the_file_as_a_whole_have_no_line_to_show(refusal: Refusal) -> None:
    assert refusal("name: mine\n") == (
        "mine.yaml is not a valid recipe (3 problems)\n"
        "  --> mine.yaml:1:1  missing key `problem`\n"
        "  --> mine.yaml:1:1  missing key `balancer`\n"
        "  --> mine.yaml:1:1  missing key `agent`"
    )


def test_a_misspelt_key_is_not_also_missing(refusal: Refusal) -> None:
    message = refusal(MINIMAL.replace("balancer", "balencer").replace("kind: dqn", "kimd: dqn"))
    assert "2 problems" in message
    assert "missing" not in message


def test_a_block_is_underlined_at_its_key(refusal: Refusal) -> None:
    message = refusal(MINIMAL.replace("{kind: equal}", "\n  kind: manual"))
    assert (
        "  --> mine.yaml:4:1  missing key `weights` in `balancer`\n   4 │ balancer:\n     │ ^^^^^^^^"
        in message
    )


def test_all_problems_are_shown_at_once_in_the_order_of_the_file(refusal: Refusal) -> None:
    message = refusal(
        """\
name: mine
name: again
problem:
  kind: lander
  tasks: [standard, heavvy]
agent:
  kind: dqn
  loss: mes
  lr: -1
balancer:
  kind: gradnorm
  alhpa: 1.5
"""
    )
    places = [line.split()[1] for line in message.splitlines() if line.startswith("  -->")]
    assert places == [f"mine.yaml:{place}" for place in ("2:1", "5:21", "8:9", "9:7", "12:3")]


def test_slips_do_not_hide_what_does_not_go_together(refusal: Refusal) -> None:
    message = refusal(
        agent("losss: mse, learn: active_task, exploration: {strt: 0.1, end: 0.2}, loss: hubr").replace(
            "{kind: equal}", "{kind: manual, weights: {standard: 1, windy: 1, heavvy: 1}, colour: red}"
        )
    )
    for said in (
        "unknown key `losss`",
        "unknown key `strt`",
        "unknown key `colour`",
        "`loss: hubr` is not allowed",
        "`learn: active_task` needs",
        "`end` (0.2) is above `start` (0.1)",
    ):
        assert message.count(said) == 1


def test_a_misspelt_kind_is_read_as_it_was_meant_to_find_the_rest(refusal: Refusal) -> None:
    message = refusal(balancer("{kind: manul, weights: {standard: 1, windy: 1, heavvy: 1, heavy: 1}}"))
    assert "`kind: manul` is not allowed" in message
    assert "`heavvy` is not a task of this recipe" in message


def test_a_misspelt_kind_key_of_a_union_is_found(refusal: Refusal) -> None:
    assert refusal(balancer("{kidn: manual, weights: {standard: 1, windy: 1, heavvy: 1, heavy: 1}}")) == (
        "mine.yaml is not a valid recipe (2 problems)\n"
        "  --> mine.yaml:4:12  unknown key `kidn`\n"
        "   4 │ balancer: {kidn: manual, weights: {standard: 1, windy: 1, heavvy: 1, heavy: 1}}\n"
        "     │            ^^^^ did you mean `kind`?\n"
        "  --> mine.yaml:4:59  `heavvy` is not a task of this recipe\n"
        "   4 │ balancer: {kidn: manual, weights: {standard: 1, windy: 1, heavvy: 1, heavy: 1}}\n"
        "     │                                                           ^^^^^^ did you mean `heavy`? "
        "choose from: standard, windy, heavy"
    )


def test_whole_numbers_serve_as_numbers(write: Write) -> None:
    recipe = lander(write("mine.yaml", agent("lr: 1, gamma: 1")))
    assert (recipe.agent.lr, recipe.agent.gamma) == (1.0, 1.0)
    assert isinstance(recipe.agent.lr, float)
