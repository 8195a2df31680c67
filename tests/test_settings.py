from dataclasses import fields

import pytest

from impasto import Settings, SettingsError, preset
from impasto.settings import PRESETS, TEXTURE_SETTINGS


def test_settings_survive_json():
    for settings in (Settings(), Settings(style_weight=(70, 30), style_scale=(2.0, 0.5), strength=3)):
        assert Settings.from_json(settings.to_json()) == settings
        assert hash(Settings.from_json(settings.to_json())) == hash(settings)


def test_one_value_counts_for_every_painting_and_several_for_one_each():
    settings = Settings(style_weight=[70, 30], style_scale=2.0)
    assert settings.for_each("style_weight", 2) == (70, 30)
    assert settings.for_each("style_scale", 2) == (2, 2)
    with pytest.raises(SettingsError, match=r"style_weight=70,30 has 2 values for 3 paintings"):
        settings.for_each("style_weight", 3)


@pytest.mark.parametrize(
    "value", [(), (1, -1), (0, 0), 0, -1, "1,1", (1, "x"), (1, float("nan")), [float("inf")], None]
)
def test_weights_of_paintings_that_make_no_sense_are_refused(value: object):
    with pytest.raises(SettingsError, match="style_weight="):
        Settings(style_weight=value)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -float("inf"), 1.5, 10**400])
@pytest.mark.parametrize("name", ["size", "seed"])
def test_what_is_no_whole_number_is_refused(name: str, number: float):
    with pytest.raises(SettingsError, match=f"{name}="):
        Settings(**{name: number})


def test_a_whole_number_may_come_as_a_float():
    assert type(Settings(seed=3.0).seed) is int


@pytest.mark.parametrize("weights", [(0, 100), (0, 0), 0])
def test_strokes_alone_are_no_style(weights):
    with pytest.raises(SettingsError, match="leaves no painting"):
        Settings(strokes=("coarse", "fine"), style_weight=weights)


def test_fine_strokes_need_coarse_forms():
    assert Settings(strokes=["coarse", "fine"]).strokes == ("coarse", "fine")
    for strokes in ("fine", "coarse", ("coarse", "all"), ("fine", "fine")):
        with pytest.raises(SettingsError, match=r"strokes=.* is not complete"):
            Settings(strokes=strokes)


def test_presets_are_settings_that_differ_from_the_defaults():
    for name, kind in PRESETS.items():
        settings = preset(name)
        assert settings == Settings(**kind.settings)
        assert all(getattr(Settings(), key) != value for key, value in kind.settings.items())
    with pytest.raises(SettingsError, match="there is no preset 'portait'; choose from: portrait, landscape"):
        preset("portait")


def test_the_settings_of_a_texture_exist():
    assert {f.name for f in fields(Settings)} >= set(TEXTURE_SETTINGS)
