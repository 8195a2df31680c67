"""The page's colours and letters: paper and ink, by day and by night. Fonts are the machine's own."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

INK = colors.Color(
    name="ink",
    c50="#eef1fb",
    c100="#dde3f6",
    c200="#bcc8ee",
    c300="#97a9e2",
    c400="#6f85d0",
    c500="#4c64b6",
    c600="#3a509c",
    c700="#2f4180",
    c800="#263465",
    c900="#1e2a50",
    c950="#141b35",
)
PAPER = colors.Color(
    name="paper",
    c50="#fbf9f4",
    c100="#f5f1e9",
    c200="#e8e2d5",
    c300="#d3cbba",
    c400="#a69d8d",
    c500="#665d50",
    c600="#5d5548",
    c700="#443e35",
    c800="#2b2822",
    c900="#211e1a",
    c950="#181613",
)


def theme() -> gr.themes.Base:
    """Light and dark; every pair of text and ground has a contrast of 4.5 or more (WCAG AA)."""
    base = gr.themes.Base(
        primary_hue=INK,
        secondary_hue=INK,
        neutral_hue=PAPER,
        radius_size=sizes.radius_md,
        font=("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"),
    )
    return base.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="*neutral_50",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_950",
        block_background_fill="*neutral_50",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_title_text_weight="600",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        block_shadow="none",
        border_color_primary="*neutral_300",
        border_color_primary_dark="*neutral_700",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_300",
        button_primary_background_fill_hover_dark="*primary_200",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
        button_primary_shadow="none",
        button_large_text_weight="600",
        slider_color="*primary_600",
        slider_color_dark="*primary_300",
    )
