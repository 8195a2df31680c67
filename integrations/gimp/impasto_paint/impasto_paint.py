#!/usr/bin/env python3
"""Paint (impasto): a GIMP 3 plug-in that asks a studio (`impasto web`) to paint the active layer.

The layer goes out as a PNG, the picture comes back as a new layer above it. With a selection, only what is selected is
painted: the rest stays as photographed.
"""

import sys
import tempfile
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
from client import Studio, StudioError
from gi.repository import Gimp, GimpUi, Gio, GLib, GObject

NAME = "plug-in-impasto-paint"
ABOUT = GObject.ParamFlags.READWRITE
STYLES = {
    "nocturne": "Nocturne",
    "meadow": "Meadow",
    "autumn": "Autumn avenue",
    "pointillism": "Harbour in dots",
    "cubist": "Facets",
    "woodcut": "Woodcut",
    "wave": "Breakers",
    "ink": "Ink and wash",
    "stained-glass": "Stained glass",
    "mosaic": "Mosaic",
}
QUALITIES = ("instant", "draft", "good", "best")
COLORS = ("painting", "photo", "match", "histogram", "lab")


class Impasto(Gimp.PlugIn):
    """What GIMP asks for the procedures of this plug-in."""

    def do_set_i18n(self, name):
        return False

    def do_query_procedures(self):
        return [NAME]

    def do_create_procedure(self, name):
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("_Paint (impasto)...")
        procedure.add_menu_path("<Image>/Filters/Artistic")
        procedure.set_documentation("Paint the layer in the style of a painting", "Asks impasto web to paint it.", name)
        procedure.set_attribution("The impasto founders", "The impasto founders, MIT", "2026")
        procedure.add_choice_argument("style", "_Painting", "that ships", _choice(STYLES), "nocturne", ABOUT)
        procedure.add_file_argument(
            "style-file", "or a _file", "a painting of your own", Gimp.FileChooserAction.OPEN, True, None, ABOUT
        )
        procedure.add_double_argument("strength", "S_trength", "0: the photograph, 100: its texture", 0, 100, 50, ABOUT)
        procedure.add_double_argument("style-scale", "Stroke si_ze", "2: twice as broad", 0.05, 20, 1, ABOUT)
        procedure.add_double_argument("keep-lines", "_Keep lines", "for faces and buildings", 0, 100, 0, ABOUT)
        procedure.add_choice_argument("quality", "_Quality", "how much work", _choice(QUALITIES), "good", ABOUT)
        procedure.add_choice_argument("color", "Colo_urs", "whose colours", _choice(COLORS), "painting", ABOUT)
        procedure.add_string_argument("studio", "Stu_dio", "as impasto web prints it", "http://127.0.0.1:7860", ABOUT)
        procedure.add_string_argument("account", "_Account", "user:password, if it asks", "", ABOUT)
        return procedure


def run(procedure, run_mode, image, drawables, config, data):
    """What GIMP calls for a layer."""
    if run_mode == Gimp.RunMode.INTERACTIVE:
        GimpUi.init(NAME)
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "Paint (impasto)")
        dialog.fill(None)
        chosen = dialog.run()
        dialog.destroy()
        if not chosen:
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
    if len(drawables) != 1:
        return failed(procedure, "choose one layer")
    try:
        paint(image, drawables[0], config)
    except (StudioError, OSError) as error:
        return failed(procedure, str(error))
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def paint(image, layer, config):
    """Send the layer to the studio and put what comes back above it."""
    value = config.get_property
    file = value("style-file")
    style = Path(file.get_path()).read_bytes() if file else value("style")
    settings = {
        name.replace("-", "_"): value(name) for name in ("strength", "style-scale", "keep-lines", "quality", "color")
    }
    with tempfile.TemporaryDirectory(prefix="impasto-gimp-") as folder:
        photo, protect = Path(folder) / "photo.png", None
        export(image, layer, photo)
        if not Gimp.Selection.is_empty(image):
            protect = unselected(image, layer, Path(folder) / "protect.png")
        Gimp.progress_init("impasto paints")

        def go_on(share, words):
            Gimp.progress_set_text(words)
            Gimp.progress_update(share)
            return True

        studio = Studio(value("studio"), value("account"))
        picture = studio.paint(
            photo.read_bytes(),
            [style],
            {"size": max(layer.get_width(), layer.get_height()), **settings},
            go_on,
            protect,
        )
        (Path(folder) / "picture.png").write_bytes(picture)
        image.undo_group_start()
        try:
            painted = Gimp.file_load_layer(
                Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(str(Path(folder) / "picture.png"))
            )
            painted.set_name("Painted")
            image.insert_layer(painted, layer.get_parent(), image.get_item_position(layer))
            _, left, top = layer.get_offsets()
            painted.scale(layer.get_width(), layer.get_height(), False)
            painted.set_offsets(left, top)
        finally:
            image.undo_group_end()
    Gimp.displays_flush()


def export(image, layer, path):
    """The layer as a PNG of its own size."""
    single = Gimp.Image.new(layer.get_width(), layer.get_height(), image.get_base_type())
    try:
        copy = Gimp.Layer.new_from_drawable(layer, single)
        single.insert_layer(copy, None, 0)
        copy.set_offsets(0, 0)
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, single, Gio.File.new_for_path(str(path)), None)
    finally:
        single.delete()


def unselected(image, layer, path):
    """A PNG of the layer's size, white where nothing is selected, that is, where the photograph stays."""
    _, left, top = layer.get_offsets()
    single = Gimp.Image.new(layer.get_width(), layer.get_height(), Gimp.ImageBaseType.GRAY)
    try:
        mask = Gimp.Layer.new_from_drawable(image.get_selection(), single)
        single.insert_layer(mask, None, 0)
        mask.set_offsets(-left, -top)
        mask.invert(False)
        single.flatten()
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, single, Gio.File.new_for_path(str(path)), None)
    finally:
        single.delete()
    return path.read_bytes()


def failed(procedure, words):
    """The answer to GIMP that shows the words."""
    return procedure.new_return_values(
        Gimp.PDBStatusType.EXECUTION_ERROR, GLib.Error.new_literal(Gimp.PlugIn.error_quark(), words, 0)
    )


def _choice(names):
    choice = Gimp.Choice.new()
    for number, name in enumerate(names):
        choice.add(name, number, names[name] if isinstance(names, dict) else name, "")
    return choice


if __name__ == "__main__":
    Gimp.main(Impasto.__gtype__, sys.argv)
