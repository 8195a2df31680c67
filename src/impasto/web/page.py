"""The page: Gradio lays it out and carries what is chosen; `static/` draws what Gradio has no part for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from impasto.errors import ImpastoError
from impasto.images.gallery import SAMPLES, sample_path, style_facts, style_names
from impasto.images.masks import EVERYWHERE
from impasto.settings import QUALITIES
from impasto.web.api import COOKIE
from impasto.web.form import PER_PAINTING, SIZES, Control, controls
from impasto.web.studio import STATIC, described
from impasto.web.theme import theme
from impasto.web.work import Guides, Painting, PictureFile, PictureJob
from impasto.web.workshop import THUMBNAIL, Visitor, Workshop

HEAD = '<link rel="modulepreload" href="/studio/static/store.js"><link rel="icon" href="data:,">'
LOOKS: dict[str, Any] = {"theme": theme(), "css": (STATIC / "studio.css").read_text(encoding="utf-8"), "head": HEAD}
STROKES = (0.25, 4.0)  # of the slider; the API allows what `Settings` allows


def build(workshop: Workshop) -> gr.Blocks:
    """The page of a workshop."""
    shown = [control for control in controls() if control.name not in PER_PAINTING]
    blocks: gr.Blocks = gr.Blocks(title="impasto", analytics_enabled=False, fill_width=True)
    with blocks:
        _part("header", (STATIC / "header.html").read_text(encoding="utf-8"))
        with gr.Row(elem_id="studio", equal_height=False):
            with gr.Column(elem_id="choices", scale=4, min_width=320):
                photo = _part("photo", _photo_html())
                styles = _part("styles", _styles_html())
                with gr.Group(elem_id="hand"):
                    fields = {c.name: _field(c, workshop) for c in shown if c.front}
                with gr.Accordion("Everything else", open=False, elem_id="rest"):
                    fields |= {c.name: _field(c, workshop) for c in shown if not c.front}
                message = gr.HTML("", elem_id="message")
                paint = gr.Button("Paint", variant="primary", size="lg", elem_id="paint")
            with gr.Column(elem_id="easel", scale=7, min_width=320):
                stage = _part("stage", (STATIC / "stage.html").read_text(encoding="utf-8"))
        visit = _part("visit", (STATIC / "visit.html").read_text(encoding="utf-8"))

        def submit(request: gr.Request, photo: Any, styles: Any, *values: Any) -> tuple[Any, str]:
            try:
                visitor = _visitor(workshop, request)
                photograph = workshop.photograph(visitor, _photo_id(photo))
                chosen = _styles(styles)
                paintings = [workshop.painting(visitor, _id(style)) for style in chosen]
                given = {**_given(fields, values), "style_weight": _weights(chosen)}
                guides = _guides(workshop, visitor, photo, chosen)
                job = workshop.paint(visitor, photograph, paintings, given, guides=guides, attended=True)
            except ImpastoError as error:
                return gr.skip(), _alert(error)
            return job.id, ""

        def submit_sheet(request: gr.Request, photo: Any, *values: Any) -> tuple[Any, str]:
            try:
                visitor = _visitor(workshop, request)
                photograph = workshop.photograph(visitor, _photo_id(photo))
                job = workshop.sheet(visitor, photograph, _given(fields, values), attended=True)
            except ImpastoError as error:
                return gr.skip(), _alert(error)
            return job.id, ""

        def use_again(request: gr.Request, event: gr.EventData) -> list[Any]:
            """Everything as it was for an earlier picture."""
            try:
                visitor = _visitor(workshop, request)
                job = workshop.job(event.id)
                if job.visitor != visitor.id:
                    raise ImpastoError("this picture is of another visit; load the page again")
            except ImpastoError as error:
                return [gr.skip(), gr.skip(), *[gr.skip()] * len(fields), _alert(error)]
            return [*_chosen(job), *[_shown(getattr(job.work.settings, name)) for name in fields], ""]

        every = list(fields.values())
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": True}
        fields["quality"].change(
            lambda name: gr.Radio(info=_quality_help(name)), fields["quality"], fields["quality"], **private
        )
        paint.click(submit, [photo, styles, *every], [stage, message], **private)
        styles.sheet(submit_sheet, [photo, *every], [stage, message], **private)
        visit.again(use_again, None, [photo, styles, *every, message], **private)
    blocks.queue(default_concurrency_limit=16)
    return blocks


def _part(name: str, html: str) -> gr.HTML:
    """A part of the page that `static/NAME.js` brings to life; its value is what the visitor chose."""
    script = (
        "const events = ['change', 'sheet', 'again'];"
        f"import('/studio/static/{name}.js').then(part => {{"
        "part.start(element, props, trigger, watch); element.dataset.ready = 'yes'; });"
    )
    return gr.HTML(None, html_template=html, js_on_load=script, elem_id=name, apply_default_css=False)


def _field(control: Control, workshop: Workshop) -> Any:
    """Gradio's component for a setting."""
    shared: dict[str, Any] = {"label": control.label, "info": control.help, "elem_id": f"setting-{control.name}"}
    low, high, default = control.minimum, control.maximum, control.default
    if control.name == "size":
        sizes = [str(size) for size in SIZES if size <= workshop.limits.largest]
        return gr.Dropdown([*sizes, *control.choices], value=str(default), allow_custom_value=True, **shared)
    if control.name == "quality":
        shared["info"] = _quality_help(default)
        return gr.Radio(list(control.choices), value=default, **shared)
    if control.name == "strokes":
        return gr.Dropdown(["all", "coarse,fine", "fine,coarse"], value=default, **shared)
    if control.kind is bool:
        return gr.Checkbox(value=default, **shared)
    if control.choices:
        return gr.Dropdown(list(control.choices), value=default, **shared)
    if control.name == "style_scale":
        return gr.Slider(*STROKES, value=default, step=0.05, **shared)
    if control.kind in (int, float) and control.front and low is not None and high is not None:
        return gr.Slider(low, high, value=default, step=1, **shared)
    if control.kind in (int, float):
        return gr.Number(
            value=default, minimum=low, maximum=high, precision=0 if control.kind is int else None, **shared
        )
    return gr.Textbox(value=str(default), **shared)


def _shown(value: Any) -> Any:
    """A setting as its component holds it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _quality_help(name: str) -> str:
    help = QUALITIES[name].help
    return help[0].upper() + help[1:]


def _given(fields: Mapping[str, Any], values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(fields, values, strict=True))


def _visitor(workshop: Workshop, request: gr.Request) -> Visitor:
    id = request.cookies.get(COOKIE)
    if not workshop.knows(id):
        raise ImpastoError("this page was open for too long; load it again")
    return workshop.visitor(id)


def _photo_id(value: Any) -> str:
    if not isinstance(value, dict):
        raise ImpastoError("choose a photograph first")
    return _id(value)


def _id(value: Mapping[str, Any]) -> str:
    return str(value.get("id"))


def _styles(value: Any) -> list[dict[str, Any]]:
    """The paintings that the page's part holds: id, weight, and the region where each is painted."""
    return [style for style in value if isinstance(style, dict)] if isinstance(value, list) else []


def _weights(styles: Sequence[Mapping[str, Any]]) -> tuple[Any, ...] | None:
    weights = tuple(style.get("weight", 1) for style in styles)
    return weights if len(set(weights)) > 1 else None


def _guides(workshop: Workshop, visitor: Visitor, photo: Any, styles: Sequence[Mapping[str, Any]]) -> Guides:
    """What the brush said, if anything."""
    mask, protect = photo.get("mask"), photo.get("protect")
    regions = [str(style.get("region") or EVERYWHERE) for style in styles] if mask else []
    return Guides(
        mask=workshop.brought(visitor, str(mask)) if mask else None,
        style_mask=tuple(workshop.style_mask(visitor, region) for region in regions),
        protect=workshop.protection(visitor, str(protect)) if protect else None,
    )


def _chosen(job: PictureJob) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The photograph and the paintings of a job, as the page's parts hold them."""
    work = job.work
    if not isinstance(work, Painting):
        return described(work.photograph), []
    photo = described(work.photograph)
    for name, guide in (("mask", work.guides.mask), ("protect", work.guides.protect)):
        photo[name] = guide.id if isinstance(guide, PictureFile) else guide
    styles = [described(painting) for painting in work.paintings]
    for style, weight in zip(styles, work.settings.for_each("style_weight", len(styles)), strict=True):
        style["weight"] = weight
    for style, region in zip(styles, work.guides.style_mask, strict=False):
        style["region"] = region.id if isinstance(region, PictureFile) else region
    return photo, styles


def _alert(error: ImpastoError) -> str:
    words = str(error)
    return f'<p role="alert">{escape(words[0].upper() + words[1:])}.</p>'


def _photo_html() -> str:
    try:
        samples = [name for name in SAMPLES if sample_path(name)]
    except ImpastoError:
        samples = []
    buttons = "".join(
        f'<button type="button" class="sample" data-id="{name}" title="{name}">'
        f'<img src="/studio/pictures/{name}?size=160" alt="Sample: {name}" loading="lazy"></button>'
        for name in samples
    )
    return (STATIC / "photo.html").read_text(encoding="utf-8").replace("@samples", buttons)


def _styles_html() -> str:
    tiles = "".join(
        f'<label class="tile" title="{escape(style_facts(name).title)}"><input type="checkbox" value="{name}">'
        f'<img src="/studio/pictures/{name}?size={THUMBNAIL // 2}" alt="" loading="lazy"><span>{name}</span></label>'
        for name in style_names()
    )
    return (STATIC / "styles.html").read_text(encoding="utf-8").replace("@tiles", tiles)
