# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lading.pipeline.declare import option
from lading.pipeline.errors import LadingError
from lading.pipeline.recipe import load_recipe
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import ResolvedGroup, resolve
from support.fake_passes import fake, recipe_file, registry_of, resolved_of

OPTIONS = {
    "size_limit": (int | None, option(1024, help="Bytes.", at_least=0)),
    "level": (str, option("light", help="How much.", choices=("none", "light", "full"))),
    "names": (tuple[str, ...], option((), help="Names.")),
    "axes": (Mapping[str, Mapping[int | str, str] | list[int]], option({}, help="Axes.")),
    "example": (Any, option(None, help="A tensor.", in_recipe=False)),
}
FOLD = fake("fold", options=OPTIONS)
SHARE = fake("share")


@pytest.fixture
def registry() -> Registry:
    return registry_of(FOLD, SHARE)


def failure(folder: Path, text: str, registry: Registry, **more: Any) -> str:
    with pytest.raises(LadingError) as caught:
        resolved_of(folder, text, registry, **more)
    return str(caught.value)


def test_options_reach_the_pass(tmp_path: Path, registry: Registry) -> None:
    resolved = resolved_of(tmp_path, '[step.fold]\nsize-limit = 3\nnames = ["a"]\n', registry)
    assert FOLD(size_limit=3, names=("a",)) == resolved.steps()[0].made


def test_a_step_may_have_an_id_of_its_own(tmp_path: Path, registry: Registry) -> None:
    resolved = resolved_of(tmp_path, '[step.again]\npass = "fold"\n', registry)
    assert ("again", "fold") == (resolved.steps()[0].id, resolved.steps()[0].declaration.name)


def test_the_spec_leaves_out_defaults(tmp_path: Path, registry: Registry) -> None:
    resolved = resolved_of(tmp_path, '[step.fold]\nsize-limit = 3\nlevel = "light"\n[step.share]\n', registry)
    assert ["fold{size_limit = 3}", "share"] == [step.spec for step in resolved.steps()]


@pytest.mark.parametrize(
    ("more", "source", "where"),
    [
        ({}, "default", "default of fold"),
        ({"overrides": {"fold.level": "full"}}, "override", "override of fold.level"),
        ({"settings": ["fold.level=full"]}, "override", "--set fold.level=full"),
    ],
)
def test_each_value_has_its_source(
    more: dict[str, Any], source: str, where: str, tmp_path: Path, registry: Registry
) -> None:
    setting = resolved_of(tmp_path, "[step.fold]\n", registry, **more).sources()["fold.level"]
    assert (source, where) == (setting.source, setting.where)


def test_settings_win_over_overrides_and_both_over_the_recipe(tmp_path: Path, registry: Registry) -> None:
    text = "[step.fold]\nsize_limit = 1\n"
    resolved = resolved_of(tmp_path, text, registry, overrides={"fold.size_limit": 2}, settings=["fold.size-limit=3"])
    assert 3 == resolved.sources()["fold.size_limit"].value


@pytest.mark.parametrize(
    ("setting", "key", "expected"),
    [
        ("fold.size_limit=5", "fold.size_limit", 5),
        ("fold.size_limit=none", "fold.size_limit", None),
        ("fold.level=none", "fold.level", "none"),
        ("fold.names=a,b", "fold.names", ("a", "b")),
        ('fold.axes={x = {0 = "b"}, y = [1]}', "fold.axes", {"x": {0: "b"}, "y": [1]}),
        ("target.opset=13", "target.opset", 13),
        ("target.opset=latest", "target.opset", "latest"),
        ('target.custom_opsets={"my.domain" = 2}', "target.custom_opsets", {"my.domain": 2}),
    ],
)
def test_text_settings_are_typed(setting: str, key: str, expected: object, tmp_path: Path, registry: Registry) -> None:
    assert expected == resolved_of(tmp_path, "[step.fold]\n", registry, settings=[setting]).sources()[key].value


def test_enabled_can_be_set(tmp_path: Path, registry: Registry) -> None:
    assert not resolved_of(tmp_path, "[step.fold]\n", registry, settings=["fold.enabled=false"]).steps()[0].enabled


GROUP = '[step.tidy]\nuntil-stable = ["fold", "share"]\nrounds = 2\n'


def test_members_of_a_group_need_no_table(tmp_path: Path, registry: Registry) -> None:
    (group,) = resolved_of(tmp_path, GROUP, registry).entries
    assert isinstance(group, ResolvedGroup)
    assert ["fold", "share"] == [member.id for member in group.members]


def test_members_of_a_group_take_options_from_their_table(tmp_path: Path, registry: Registry) -> None:
    resolved = resolved_of(tmp_path, f"{GROUP}[step.fold]\nsize_limit = 7\n", registry)
    assert 7 == resolved.sources()["fold.size_limit"].value


def test_members_without_a_table_take_overrides(tmp_path: Path, registry: Registry) -> None:
    assert (
        7 == resolved_of(tmp_path, GROUP, registry, settings=["fold.size_limit=7"]).sources()["fold.size_limit"].value
    )


def test_the_members_themselves_can_be_set(tmp_path: Path, registry: Registry) -> None:
    (group,) = resolved_of(tmp_path, GROUP, registry, settings=["tidy.until-stable=share"]).entries
    assert isinstance(group, ResolvedGroup)
    assert ["share"] == [member.id for member in group.members]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[step.fold]\nsize-limits = 3\n", "no option 'size_limits'\n  at: FILE:5\n  try: did you mean 'size_limit'?"),
        ("[step.fold]\nenabeld = false\n", "did you mean 'enabled'?"),
        ('[step.fold]\nsize_limit = "3"\n', "fold.size_limit must be a whole number or none, not '3'\n  at: FILE:5"),
        ("[step.fold]\nsize_limit = -1\n", "fold.size_limit must be at least 0, not -1\n  at: FILE:5"),
        ('[step.fold]\nlevel = "fll"\n', "fold.level must be one of none, light, full, not 'fll'\n  at: FILE:5"),
        ('[step.fold]\nlevel = "fll"\n', "did you mean 'full'?"),
        ("[step.fold]\nexample = 1\n", "option 'example' of 'fold' is set from Python only"),
        ("[step.fold]\nrounds = 3\n", "step 'fold' is no group"),
        ("[step.folf]\n", "no pass is called 'folf'\n  at: FILE:4\n  try: did you mean 'fold'?"),
        ('[step.x]\npass = "flod"\n', "no pass is called 'flod'\n  at: FILE:5\n  try: did you mean 'fold'?"),
        ('[step.x]\npass = "no_such_module:Pass"\n', "module of pass 'no_such_module:Pass' cannot be imported"),
        ('[step.x]\npass = "json:dumps"\n', "is not a pass class"),
        ('[step.x]\npass = "json:dumbs"\n', "json has no 'dumbs'"),
        ('[step.x]\npass = "missing.py:Pass"\n', "no such file: missing.py"),
        ('[step.tidy]\nuntil-stable = ["fold", "shaer"]\n', "'shaer'\n  at: FILE:5\n  try: did you mean 'share'?"),
        ('[step.tidy]\nuntil-stable = ["fold", "fold"]\n', "step 'fold' is twice in 'tidy'"),
        ('[step.a]\nuntil-stable = ["fold"]\n[step.b]\nuntil-stable = ["fold"]\n', "step 'fold' is in 'a' and in 'b'"),
        ('[step.a]\nuntil-stable = ["b"]\n[step.b]\nuntil-stable = ["fold"]\n', "group 'b' is inside group 'a'"),
        ("[step.tidy]\nuntil-stable = []\n", "group 'tidy' has no members"),
        ('[step.tidy]\nuntil-stable = ["fold"]\nrounds = 0\n', "tidy.rounds must be at least 1, not 0"),
        ('[step.tidy]\nuntil-stable = ["fold"]\nround = 2\n', "'round'\n  at: FILE:6\n  try: did you mean 'rounds'?"),
        ("[target]\nopset = 6\n", "opset 6 is below 7\n  at: FILE:5"),
        ('[target]\nopset = "lates"\n', "target.opset must be a whole number or 'latest', not 'lates'"),
        ('[target]\ncustom_opsets = {"" = 3}\n', "custom_opsets cannot set the default domain"),
    ],
)  # fmt: skip
def test_a_recipe_that_does_not_fit_its_passes(text: str, message: str, tmp_path: Path, registry: Registry) -> None:
    assert message.replace("FILE", str(tmp_path / "test.toml")) in failure(tmp_path, text, registry)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("fold.size_limit", "'fold.size_limit' sets nothing"),
        ("size_limit=3", "'size_limit' does not name an option"),
        ("flod.size_limit=3", "has no step 'flod'\n  at: --set flod.size_limit=3\n  try: did you mean 'fold'?"),
        ("share.enabled=true", "has no step 'share'\n  at: --set share.enabled=true\n  try: add [step.share]"),
        ("fold.size_limi=3", "did you mean 'size_limit'?"),
        ("fold.size_limit=big", "fold.size_limit must be a whole number or none, not 'big'\n  at: --set"),
        ("target.opse=3", "unknown key 'target.opse'"),
    ],
)
def test_a_setting_that_does_not_fit(setting: str, message: str, tmp_path: Path, registry: Registry) -> None:
    assert message in failure(tmp_path, "[step.fold]\n", registry, settings=[setting])


def test_naming_a_step_again_does_not_switch_it_on(tmp_path: Path, registry: Registry) -> None:
    recipe_file(tmp_path, "[step.fold]\nenabled = false\n", "parent")
    text = '[recipe]\nname = "c"\nabout = "x"\nextends = "parent.toml"\n[step.fold]\n'
    assert not resolved_of(tmp_path, text, registry).steps()[0].enabled


def test_a_pass_from_a_file_beside_the_recipe(tmp_path: Path) -> None:
    source = (
        "from lading.pipeline.declare import a_pass\n"
        "@a_pass('mine')\n"
        "class Mine:\n"
        "    '''Do nothing.'''\n"
        "    def run(self, work, note):\n"
        "        pass\n"
    )
    tmp_path.joinpath("my_passes.py").write_text(source)
    resolved = resolved_of(tmp_path, '[step.x]\npass = "my_passes.py:Mine"\n', registry_of())
    assert "mine" == resolved.steps()[0].declaration.name


def test_extra_passes_become_steps(tmp_path: Path, registry: Registry) -> None:
    extra = FOLD(size_limit=5)
    resolved = resolved_of(tmp_path, "[step.share]\n", registry, passes=[extra])
    assert extra is resolved.steps()[0].made


def test_an_extra_pass_of_a_known_name_is_a_second_step(tmp_path: Path, registry: Registry) -> None:
    resolved = resolved_of(tmp_path, "[step.fold]\n", registry, passes=[FOLD])
    assert ["fold", "fold-2"] == [step.id for step in resolved.steps()]


def test_what_is_no_pass_is_refused(tmp_path: Path, registry: Registry) -> None:
    assert "3 is not a pass" in failure(tmp_path, "", registry, passes=[3])


def test_two_classes_of_one_name_are_refused(tmp_path: Path, registry: Registry) -> None:
    assert "two classes are called 'fold'" in failure(tmp_path, "", registry, passes=[fake("fold")])


RICH = (
    '[target]\nopset = 13\ncustom_opsets = {"my.domain" = 2}\n'
    '[step.tidy]\nuntil-stable = ["fold", "share"]\nbefore = ["last"]\n'
    '[step.fold]\nsize_limit = "none"\naxes = {x = {0 = "batch \\"b\\""}, y = [1]}\n'
    '[step.last]\npass = "share"\nenabled = false\nafter = ["fold"]\n'
)


def test_the_resolved_text_resolves_to_the_same_hash(tmp_path: Path, registry: Registry) -> None:
    resolved = resolved_of(tmp_path, RICH, registry, settings=["fold.names=a,b"])
    again = resolve(load_recipe(recipe_file(tmp_path, resolved.to_toml(), "again")), registry)
    assert (resolved.hash, resolved.to_dict()) == (again.hash, again.to_dict())


def test_the_hash_leaves_out_the_name(tmp_path: Path, registry: Registry) -> None:
    one, other = (
        resolved_of(tmp_path, f'[recipe]\nname = "{name}"\nabout = "x"\n[step.fold]\n', registry) for name in "ab"
    )
    assert one.hash == other.hash


def test_the_hash_takes_in_defaults(tmp_path: Path, registry: Registry) -> None:
    given = resolved_of(tmp_path, "[step.fold]\nsize_limit = 1024\n", registry)
    assert resolved_of(tmp_path, "[step.fold]\n", registry).hash == given.hash


@pytest.mark.parametrize("setting", ["fold.size_limit=1", "fold.enabled=false", "target.opset=14", "tidy.rounds=9"])
def test_the_hash_changes_with_each_value(setting: str, tmp_path: Path, registry: Registry) -> None:
    plain = resolved_of(tmp_path, GROUP, registry)
    assert plain.hash != resolved_of(tmp_path, GROUP, registry, settings=[setting]).hash


def test_values_set_from_python_only_are_not_in_the_hash(tmp_path: Path, registry: Registry) -> None:
    given = resolved_of(tmp_path, "[step.fold]\n", registry, overrides={"fold.example": object()})
    assert resolved_of(tmp_path, "[step.fold]\n", registry).hash == given.hash


def test_the_resolved_recipe_is_plain_data(tmp_path: Path, registry: Registry) -> None:
    data = resolved_of(tmp_path, RICH, registry).to_dict()
    assert data == json.loads(json.dumps(data))
