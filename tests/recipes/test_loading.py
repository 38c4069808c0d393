from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mtctl.errors import ExitCode, MtctlError
from mtctl.recipes.loading import dump, load
from mtctl.yaml.sources import Source, read
from tests.recipes.samples import MINIMAL, Refusal, Write


def error(reference: str | Path) -> MtctlError:
    with pytest.raises(MtctlError) as caught:
        load(reference)
    assert caught.value.code is ExitCode.USAGE
    return caught.value


def test_a_file_and_a_built_in_name_load_alike(write: Write) -> None:
    assert load(write("mine.yaml", dump(load("gradnorm_blind")))) == load("gradnorm_blind")
    assert load(Path("gradnorm_blind")) == load("gradnorm_blind")


def test_a_byte_order_mark_is_no_part_of_the_text(write: Write) -> None:
    assert load(write("mine.yaml", "\ufeff" + MINIMAL)).name == "mine"


def test_other_line_ends_are_line_ends(write: Write) -> None:
    path = write("mine.yaml", "")
    path.write_bytes(MINIMAL.replace("\n", "\r\n").encode() + b"nope: 1\r\n")
    assert f"{path}:5:1  unknown key `nope`" in error(path).message


class TestNoRecipe:
    def test_a_misspelt_name(self) -> None:
        found = error("gradnorm_blnd")
        assert found.message == "there is no recipe `gradnorm_blnd`, neither a file nor built in"
        assert found.hint is not None
        assert found.hint.startswith("did you mean `gradnorm_blind`?")

    def test_a_misspelt_path(self, write: Write) -> None:
        write("own/special.yaml", MINIMAL)
        found = error("own/spezial.yaml")
        assert "own/spezial.yaml" in found.message
        assert found.hint is not None
        assert found.hint.startswith("did you mean `own/special.yaml`?")

    def test_a_path_that_ends_in_the_name_of_a_built_in_recipe(self, write: Write) -> None:
        write("unrelated.txt", "")
        found = error("recipes/gradnorm_blind.yaml")
        assert found.message == "recipes/gradnorm_blind.yaml does not exist"
        assert found.hint == "`gradnorm_blind` is a built-in recipe: name it without folder and suffix"

    def test_a_base_is_not_runnable_by_name(self) -> None:
        assert "there is no recipe `base/lander`" in error("base/lander").message

    def test_a_name_is_no_path_within_the_built_in_folder(self, write: Write) -> None:
        write("unrelated.txt", "")
        assert "does not exist" in error("../recipes/gradnorm_blind").message

    @pytest.mark.parametrize("reference", ["x" * 5000, "a\0b", "a/" * 3000, "nowhere/at/all.yaml"])
    def test_names_that_no_file_has(self, reference: str) -> None:
        assert "there is no recipe" in error(reference).message

    def test_no_name(self) -> None:
        assert "expected a recipe" in error("").message


class TestDirectory:
    def test_plain(self, write: Write) -> None:
        write("own/special.yaml", MINIMAL)
        found = error("own")
        assert found.message == "own is a directory, not a recipe"
        assert found.hint == "name one of its recipes, such as own/special.yaml"

    def test_empty(self, tmp_path: Path) -> None:
        assert error(tmp_path).hint == "name a recipe file"

    @pytest.mark.parametrize("reference", ["results/mine", "results/mine/seed0"])
    def test_of_a_run(self, write: Write, reference: str) -> None:
        write("results/mine/seed0/recipe.yaml", MINIMAL)
        found = error(reference)
        assert found.message == f"{reference} holds a run, not a recipe"
        assert found.hint == "the run's own recipe is results/mine/seed0/recipe.yaml"

    def test_with_the_name_of_a_built_in_recipe_does_not_hide_it(self, write: Write) -> None:
        write("gradnorm_blind/notes.txt", "")
        assert load("gradnorm_blind").name == "gradnorm_blind"


class TestUnreadable:
    @pytest.mark.parametrize("text", ["", "\n", "# only a comment\n"])
    def test_empty(self, refusal: Refusal, text: str) -> None:
        assert refusal(text) == (
            "mine.yaml is not a valid recipe (1 problem)\n  --> mine.yaml:1:1  the file is empty"
        )

    def test_binary(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_bytes(b"\x7fELF\0\0\1")
        assert error(path).message == f"{path} is a binary file, not a recipe"

    def test_not_utf_8(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_bytes("name: a\nproblem: ä".encode("latin-1"))
        assert error(path).message == f"{path} is not UTF-8: byte 0xe4 in line 2"

    def test_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_bytes(b"#" * 1_000_001)
        assert error(path).message == f"{path} is larger than 1 MB, which is too large for a recipe"

    def test_as_large_as_allowed(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text(MINIMAL + "#" * (1_000_000 - len(MINIMAL)))
        assert load(path).name == "mine"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_forbidden(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text(MINIMAL)
        path.chmod(0)
        assert error(path).message == f"{path} cannot be read: Permission denied"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("- a\n- b\n", "expected a mapping of keys to values, got a list"),
            ("a word", "expected a mapping of keys to values, got a single value"),
            ("a: 1\n---\nb: 1\n", "a second document begins here"),
        ],
    )
    def test_not_one_mapping(self, refusal: Refusal, text: str, said: str) -> None:
        assert said in refusal(text)


class TestExtends:
    def test_relative_to_the_child(self, write: Write) -> None:
        write("bases/parent.yaml", MINIMAL)
        assert (
            load(write("children/child.yaml", "extends: ../bases/parent.yaml\nname: child")).name == "child"
        )

    def test_a_built_in_name(self, write: Write) -> None:
        recipe = load(write("mine.yaml", "extends: published/gradnorm_blind\nname: mine\n"))
        assert recipe.model_copy(update={"name": "published_gradnorm_blind"}) == load(
            "published/gradnorm_blind"
        )

    def test_a_base(self, write: Write) -> None:
        assert (
            load(write("mine.yaml", "extends: base/lander\nname: mine\nbalancer: {kind: equal}")).name
            == "mine"
        )

    def test_a_file_wins_over_a_built_in_name(self, write: Write) -> None:
        write("gradnorm_blind", MINIMAL)
        assert load(write("child.yaml", "extends: gradnorm_blind")).name == "mine"

    def test_a_problem_in_the_parent_is_shown_there(self, refusal: Refusal, write: Write) -> None:
        write("parent.yaml", MINIMAL + "agnet: {}\n")
        assert refusal("extends: parent.yaml\nevaluation: {evry: 1}\n") == (
            "mine.yaml is not a valid recipe (2 problems)\n"
            "  --> mine.yaml:2:14  unknown key `evry`\n"
            "   2 │ evaluation: {evry: 1}\n"
            "     │              ^^^^ did you mean `every`?\n"
            "  --> parent.yaml:5:1  unknown key `agnet`\n"
            "   5 │ agnet: {}\n"
            "     │ ^^^^^ did you mean `agent`?"
        )

    def test_broken_yaml_in_the_parent_is_shown_there(self, refusal: Refusal, write: Write) -> None:
        write("parent.yaml", "a: [")
        message = refusal("extends: parent.yaml")
        assert message.startswith(
            "mine.yaml is not a valid recipe (1 problem)\n  --> parent.yaml:1:5  not valid YAML"
        )

    def test_duplicate_keys_in_both_files_are_shown(self, refusal: Refusal, write: Write) -> None:
        write("parent.yaml", MINIMAL + "name: again\n")
        message = refusal("extends: parent.yaml\nname: a\nname: b\n")
        assert "mine.yaml:3:1  duplicate key `name`" in message
        assert "parent.yaml:5:1  duplicate key `name`" in message

    def test_a_missing_parent(self, refusal: Refusal, write: Write) -> None:
        write("parent.yaml", MINIMAL)
        assert refusal("name: a\nextends: parnt.yaml\n") == (
            "mine.yaml is not a valid recipe (1 problem)\n"
            "  --> mine.yaml:2:10  `parnt.yaml` is neither a file nor a built-in recipe\n"
            "   2 │ extends: parnt.yaml\n"
            "     │          ^^^^^^^^^^ did you mean `parent.yaml`?"
        )

    @pytest.mark.parametrize("value", ["x" * 5000, "a/" * 3000 + "b", '"a\\0b"'])
    def test_a_parent_that_no_file_can_be(self, refusal: Refusal, value: str) -> None:
        assert "is neither a file nor a built-in recipe" in refusal(f"extends: {value}")

    def test_a_parent_that_cannot_be_read(self, refusal: Refusal, write: Write) -> None:
        write("folder/a.txt", "")
        message = refusal("extends: folder")
        assert "mine.yaml:1:10  folder is a directory, not a recipe" in message

    @pytest.mark.parametrize("value", ["", "[a.yaml, b.yaml]", "{a: 1}", "3", "null", "''"])
    def test_one_parent_only(self, refusal: Refusal, value: str) -> None:
        assert "`extends` must be one path or one built-in name" in refusal(f"extends: {value}")

    def test_a_file_that_extends_itself(self, refusal: Refusal) -> None:
        assert "`extends` goes in a circle: mine.yaml → mine.yaml" in refusal("extends: mine.yaml")

    def test_a_longer_circle(self, refusal: Refusal, write: Write) -> None:
        write("a.yaml", "extends: sub/b.yaml")
        write("sub/b.yaml", "extends: ../mine.yaml")
        message = refusal("extends: a.yaml")
        assert (
            "sub/b.yaml:1:10  `extends` goes in a circle: mine.yaml → a.yaml → sub/b.yaml → mine.yaml"
            in message
        )

    def test_symbolic_links_cannot_hide_a_circle(self, refusal: Refusal, write: Write) -> None:
        write("a.yaml", "extends: link.yaml")
        Path("link.yaml").symlink_to("a.yaml")
        assert "goes in a circle" in refusal("extends: a.yaml")


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load("gradnorm_blind")
    for name in ("NAME", "AGENT", "MTCTL_AGENT__LR", "AGENT__LR", "LR"):
        monkeypatch.setenv(name, "1")
    assert load("gradnorm_blind") == plain


class TestChains:
    def test_a_chain_of_files_is_followed(self, write: Write) -> None:
        for number in range(31):
            write(f"r{number}.yaml", f"extends: r{number + 1}.yaml\nname: r{number}\n")
        write("r31.yaml", MINIMAL)
        assert load(Path("r0.yaml")).name == "r0"

    def test_one_without_end_is_not(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        looks: list[Path] = []

        def noted(path: Path) -> Source:
            looks.append(path)
            return read(path)

        monkeypatch.setattr("mtctl.recipes.loading.read", noted)
        for number in range(200):
            write(f"r{number}.yaml", f"extends: r{number + 1}.yaml\n")
        message = error(Path("r0.yaml")).message
        assert "r31.yaml:1:10  `extends` leads through more than 32 files" in message
        assert len(looks) == 32

    def test_a_circle_is_named_without_the_way_to_it(self, write: Write) -> None:
        for number in range(5):
            write(f"r{number}.yaml", f"extends: r{number + 1}.yaml\n")
        write("r5.yaml", "extends: r3.yaml\n")
        assert "goes in a circle: r3.yaml → r4.yaml → r5.yaml → r3.yaml" in error(Path("r0.yaml")).message

    def test_large_files_are_not_parsed_one_after_the_other(self, write: Write) -> None:
        for number in range(9):
            write(f"r{number}.yaml", f"extends: r{number + 1}.yaml\n#{'x' * 600_000}\n")
        assert "`extends` leads through more than 1 MB of files" in error(Path("r0.yaml")).message


class TestNoFiles:
    def test_a_device_that_never_ends(self, write: Write) -> None:
        path = write("mine.yaml", MINIMAL)
        path.unlink()
        path.symlink_to("/dev/zero")
        assert error(path).message == f"{path} cannot be read: it is a device, not a file"
        child = write("child.yaml", "extends: mine.yaml\n")
        assert "mine.yaml cannot be read: it is a device, not a file" in error(child).message

    def test_a_pipe_is_read_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for content in (MINIMAL, ""):
            writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=[content])
            writer.start()
            if content:
                assert load(tmp_path / "pipe").name == "mine"
            else:
                assert "is a pipe that has nothing to read" in error(tmp_path / "pipe").message
            writer.join()
