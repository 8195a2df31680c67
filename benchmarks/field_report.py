"""The report of the field's benchmark, a page that needs no network, and the page on which people vote blindly."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import itertools
import json
import random
import secrets
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from field_statistics import Vote, compared, frontier, preferences
from PIL import Image

PLANES = {
    ("content", "style"): "by VGG-19's features at layers that impasto does not minimise, colours and edges",
    ("forms", "patches"): "without any network: forms by Gabor filters, patches of pixels",
}
COLORS = ("#c0392b", "#2471a3", "#1e8449", "#9a7d0a", "#7d3c98", "#d35400", "#117a65", "#5d6d7e")
SHOWN = 360  # px: longer side of pictures in the pages
BLIND_SHOWN = 768
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #2b2a28;
       background: #f9f7f2 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .7rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid #ddd6c8 }
figure { display: inline-block; margin: .4rem; vertical-align: top } figcaption { font-size: .85rem }
img { max-width: 100%; display: block }
figure img { max-height: 16rem } code { font-size: .85rem; overflow-wrap: anywhere }
.originals img { display: inline-block; height: 8rem } .two { display: flex; gap: 1rem }
[hidden] { display: none !important }
button { font: inherit } .two button { padding: 4px; cursor: pointer } .two img { min-width: 20rem }
.scroll { overflow-x: auto } svg { max-width: 34rem; width: 100%; height: auto }
"""

Rows = Sequence[dict[str, Any]]


def write_report(rows: Rows, pairs: Sequence[Any], out: Path) -> Path:
    """`OUT/report.html`: frontiers, tables, pictures at equal content, and the votes so far."""
    painted = [row for row in rows if not row["error"]]
    tools = list(dict.fromkeys(row["tool"] for row in rows))
    parts = [f"<h1>Painters compared on {len({row['pair'] for row in rows})} pairs</h1>"]
    parts.append(
        "<p>Less is better of every distance. Read style (to the painting) and content (to the photograph) together: a "
        "picture that forgets the photograph has the least style. A point is a strength, its mean over all pairs; thin "
        "lines are the pairs' own frontiers. Distances know nothing of beauty: <a href='blind.html'>look for "
        "yourself</a>, without names. What is measured and why: docs/field.md of impasto.</p>"
    )
    for (x, y), words in PLANES.items():
        parts.append(f"<h2>{y.capitalize()} against {x}</h2><p>{html.escape(words)}</p>{_chart(painted, tools, x, y)}")
        parts.append(_comparisons(painted, tools, x, y))
    parts += [_costs(rows, tools), _votes(out, tools), *_side_by_side(painted, tools, pairs, out), _commands(rows)]
    path = out / "report.html"
    path.write_text(_page("The field's benchmark", "".join(parts)), encoding="utf-8")
    return path


def _page(title: str, body: str, script: str = "") -> str:
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{title}</title>"
    return f"<!doctype html><html lang='en'><head>{head}<style>{STYLE}</style></head><body>{body}{script}</body></html>"


def points(rows: Rows, tool: str, x: str, y: str) -> dict[str, list[tuple[float, float]]]:
    """A tool's points by pair."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["tool"] == tool:
            found[row["pair"]].append((row["scores"][x], row["scores"][y]))
    return dict(found)


def _means(rows: Rows, tool: str, x: str, y: str) -> list[tuple[str | None, float, float]]:
    """At each value, over the pairs that have all of the tool's values: means over others would bend the curve."""
    by_value: dict[str | None, dict[str, dict[str, float]]] = defaultdict(dict)
    for row in rows:
        if row["tool"] == tool:
            by_value[row["value"]][row["pair"]] = row["scores"]
    shared = set.intersection(*(set(of_pairs) for of_pairs in by_value.values())) if by_value else set()
    return [
        (value, *(statistics.fmean(of_pairs[pair][name] for pair in sorted(shared)) for name in (x, y)))
        for value, of_pairs in by_value.items()
        if shared
    ]


def _chart(rows: Rows, tools: Sequence[str], x: str, y: str) -> str:
    """One curve for each tool, drawn by hand: a page without a network or a library."""
    width, height, edge = 640, 440, 56
    every = [(row["scores"][x], row["scores"][y]) for row in rows] or [(0.0, 0.0), (1.0, 1.0)]
    (left, right), (low, high) = (_range([p[i] for p in every]) for i in (0, 1))

    def place(content: float, style: float) -> str:
        across = edge + (content - left) / (right - left) * (width - edge - 150)
        down = height - edge - (style - low) / (high - low) * (height - edge - 20)
        return f"{across:.1f},{down:.1f}"

    lines = []
    for step in range(6):
        a, b = left + (right - left) * step / 5, low + (high - low) * step / 5
        across, down = place(a, low).split(",")[0], place(left, b).split(",")[1]
        lines.append(f"<text x='{across}' y='{height - edge + 18}' text-anchor='middle'>{a:.2f}</text>")
        lines.append(f"<text x='{edge - 6}' y='{down}' text-anchor='end'>{b:.2f}</text>")
        lines.append(f"<path d='M{place(left, b)} L{place(right, b)}' stroke='#e2dccf'/>")
    lines.append(f"<text x='{(width - 150) / 2}' y='{height - 12}' text-anchor='middle'>{x} distance</text>")
    lines.append(f"<text transform='translate(14,{height / 2}) rotate(-90)' text-anchor='middle'>{y} distance</text>")
    for number, tool in enumerate(tools):
        color = COLORS[number % len(COLORS)]
        for of_pair in points(rows, tool, x, y).values():
            thin = " L".join(place(*p) for p in frontier(of_pair))
            lines.append(f"<path d='M{thin}' stroke='{color}' stroke-opacity='.2' fill='none'/>")
        means = _means(rows, tool, x, y)
        if means:
            thick = " L".join(place(a, b) for _, a, b in means)
            lines.append(f"<path d='M{thick}' stroke='{color}' stroke-width='2.5' fill='none'/>")
        for value, a, b in means:
            across, down = place(a, b).split(",")
            said = html.escape(f"{tool} {value or ''}: {x} {a:.3f}, {y} {b:.3f}")
            lines.append(f"<circle cx='{across}' cy='{down}' r='4' fill='{color}'><title>{said}</title></circle>")
        down = str(36 + 20 * number)
        lines.append(f"<circle cx='{width - 138}' cy='{int(down) - 4}' r='5' fill='{color}'/>")
        lines.append(f"<text x='{width - 128}' y='{down}'>{html.escape(tool)}</text>")
    return f"<svg viewBox='0 0 {width} {height}' font-size='12' role='img'>{''.join(lines)}</svg>"


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max((high - low) * 0.05, 1e-3)
    return low - margin, high + margin


def _comparisons(rows: Rows, tools: Sequence[str], x: str, y: str) -> str:
    lines = []
    for ours, theirs in itertools.permutations(tools, 2):
        found = compared(points(rows, ours, x, y), points(rows, theirs, x, y))
        if found.pairs and found.ratio.value <= 1:
            lines.append([ours, theirs, str(found.ratio), f"{found.everywhere} of {found.pairs}"])
    if not lines:
        return ""
    titles = ["nearer to the painting", "than", f"{y} at equal {x}, times (95 %)", "pairs on which throughout"]
    return _table(titles, lines)


def _costs(rows: Rows, tools: Sequence[str]) -> str:
    lines = []
    for tool in tools:
        mine = [row for row in rows if row["tool"] == tool and not row["error"]]
        failed = sum(row["tool"] == tool and bool(row["error"]) for row in rows)
        middle = [
            f"{statistics.median(row[name] for row in mine) / unit:.{digits}f}" if mine else ""
            for name, unit, digits in (("seconds", 1, 1), ("processor", 1, 1), ("memory", 1e6, 0))
        ]
        lines.append([tool, str(len(mine)), *middle, str(failed) if failed else ""])
    titles = ["", "pictures", "seconds", "seconds of processors", "MB at most", "failed"]
    return "<h2>What they take</h2><p>Of one command, its start included; medians.</p>" + _table(titles, lines)


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"


def _commands(rows: Rows) -> str:
    said = dict.fromkeys((row["tool"], row["command"]) for row in rows)
    lines = "".join(f"<p>{html.escape(tool)}: <code>{html.escape(command)}</code></p>" for tool, command in said)
    failed = "".join(f"<p>{html.escape('{pair}, {tool}: {error}'.format(**row))}</p>" for row in rows if row["error"])
    return f"<h2>Commands</h2>{lines}" + (f"<h2>What failed</h2>{failed}" if failed else "")


def at_equal_content(rows: Rows, tools: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For one pair, a picture of each tool, all as near to one content distance as can be."""
    of_tool = {tool: mine for tool in tools if (mine := [row for row in rows if row["tool"] == tool])}
    choices = [
        {tool: min(mine, key=lambda row: abs(row["scores"]["content"] - wanted)) for tool, mine in of_tool.items()}
        for wanted in (row["scores"]["content"] for row in rows)
    ]
    return min(choices, key=_spread, default={})


def _spread(chosen: dict[str, dict[str, Any]]) -> float:
    contents = [row["scores"]["content"] for row in chosen.values()]
    return float(max(contents) - min(contents))


def _side_by_side(rows: Rows, tools: Sequence[str], pairs: Sequence[Any], out: Path) -> Iterator[str]:
    yield "<h2>At equal content distance</h2><p>Of each tool the picture that comes nearest to it.</p>"
    for pair in pairs:
        chosen = at_equal_content([row for row in rows if row["pair"] == pair.name], tools)
        if chosen:
            yield f"<h3>{html.escape(pair.name)}</h3>"
            yield _figure(pair.content, "the photograph") + _figure(pair.style, "the painting")
        for tool, row in chosen.items():
            words = "content {content:.3f}, style {style:.3f}".format(**row["scores"])
            yield _figure(out / row["picture"], f"{tool} {row['value'] or ''}: {words}")


def _figure(path: Path, words: str) -> str:
    said = html.escape(words)
    return f"<figure><img src='{picture_url(path, SHOWN)}' alt='{said}'><figcaption>{said}</figcaption></figure>"


def picture_url(path: Path, side: int) -> str:
    """A picture inside a page."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    picture.thumbnail((side, side))
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()


# Votes


def write_blind_page(rows: Rows, pairs: Sequence[Any], out: Path) -> Path:
    """`OUT/blind.html`: two tools' pictures of a pair at a time, at equal content, in any order, without names.

    The page knows pictures by numbers that only `OUT/key.json` can tell; it keeps the votes in the browser and gives
    them as a file.
    """
    painted = [row for row in rows if not row["error"]]
    tools = list(dict.fromkeys(row["tool"] for row in painted))
    key = _key(out)
    pictures, duels = {}, []
    for place, pair in enumerate(pairs):
        chosen = at_equal_content([row for row in painted if row["pair"] == pair.name], tools)
        numbers = {}
        for tool, row in chosen.items():
            secret = f"{key['salt']} {row['key']}"
            numbers[tool] = hashlib.sha256(secret.encode()).hexdigest()[:12]
            key["pictures"][numbers[tool]] = {"pair": pair.name, "tool": tool, "value": row["value"]}
            pictures[numbers[tool]] = picture_url(out / row["picture"], BLIND_SHOWN)
        duels += [[*sorted(duel), place] for duel in itertools.combinations(numbers.values(), 2)]
    random.Random(key["salt"]).shuffle(duels)
    (out / "key.json").write_text(json.dumps(key, indent=1))
    originals = [[picture_url(file, SHOWN) for file in (pair.content, pair.style)] for pair in pairs]
    shown = {"pictures": dict(sorted(pictures.items())), "duels": duels, "originals": originals}
    data = json.dumps({"benchmark": key["benchmark"], **shown})
    path = out / "blind.html"
    path.write_text(
        _page("Which is better?", BLIND, f"<script>const data = {data};{SCRIPT}</script>"), encoding="utf-8"
    )
    return path


def _key(out: Path) -> dict[str, Any]:
    path = out / "key.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    return {"benchmark": secrets.token_hex(4), "salt": secrets.token_hex(8), "pictures": {}}


def read_votes(out: Path) -> list[Vote]:
    """All votes in `OUT/votes`; of a person's votes on the same two pictures the last one counts."""
    key = _key(out)["pictures"]
    last: dict[tuple[str, ...], tuple[str, Vote]] = {}
    for path in sorted((out / "votes").glob("*.json")):
        found = json.loads(path.read_text())
        for vote in found["votes"]:
            left, right = vote["left"], vote["right"]
            if left in key and right in key:  # of this benchmark
                share = {"left": 1.0, "right": 0.0}.get(vote["better"], 0.5)
                known = Vote(key[left]["pair"], key[left]["tool"], key[right]["tool"], share)
                who = (found["voter"], *sorted((left, right)))
                last[who] = max(last.get(who, ("", known)), (vote["time"], known), key=lambda one: one[0])
    return [vote for _, vote in last.values()]


def _votes(out: Path, tools: Sequence[str]) -> str:
    votes = read_votes(out)
    title = "<h2>Votes</h2>"
    if not votes:
        return f"{title}<p>None yet: <a href='blind.html'>vote</a>, and put the file into the folder votes.</p>"
    chances = preferences(votes)
    ranked = sorted(chances.items(), key=lambda item: -item[1].value)
    lines = [[tool, str(chance), str(sum(tool in (v.first, v.second) for v in votes))] for tool, chance in ranked]
    pairs = len({vote.pair for vote in votes})
    said = f"{len(votes)} votes on {pairs} pairs, without names; how likely a tool's picture is preferred to another's."
    return f"{title}<p>{said}</p>" + _table(["", "preferred (95 %)", "votes"], lines)


BLIND = """
<h1>Which is better?</h1>
<p>One photograph in the style of one painting, by two painters. Choose by clicking, or with the keys ←, → and ↓.
<span id=count></span></p>
<p class=originals><img id=photograph alt='the photograph'> <img id=painting alt='the painting'></p>
<div class=two id=two><button id=left><img alt='left picture'></button>
<button id=right><img alt='right picture'></button></div>
<p><button id=neither>Neither</button> <button id=save>Save the votes as a file</button></p>
<p>Stop whenever you like. The votes stay in this browser; send the file to whoever gave you this page.</p>
"""

SCRIPT = """
const name = 'impasto-field-' + data.benchmark;
let kept; try { kept = JSON.parse(localStorage.getItem(name)) } catch { kept = null }
kept ||= { benchmark: data.benchmark, voter: crypto.getRandomValues(new Uint32Array(2)).join('-'), votes: [] };
const done = new Set(kept.votes.map(v => [v.left, v.right].sort().join()));
const waiting = data.duels.filter(d => !done.has(d.slice(0, 2).join())).sort(() => Math.random() - 0.5);
const get = id => document.getElementById(id);
let now;
function next() {
  now = waiting.pop();
  get('count').textContent = kept.votes.length + ' of ' + data.duels.length + ' done.';
  for (const id of ['two', 'neither', 'photograph', 'painting']) get(id).hidden = !now;
  if (!now) return;
  [get('photograph').src, get('painting').src] = data.originals[now[2]];
  if (Math.random() < 0.5) now = [now[1], now[0]];
  get('left').firstElementChild.src = data.pictures[now[0]];
  get('right').firstElementChild.src = data.pictures[now[1]];
}
function vote(better) {
  if (!now) return;
  kept.votes.push({ left: now[0], right: now[1], better, time: new Date().toISOString() });
  try { localStorage.setItem(name, JSON.stringify(kept)) } catch {}
  next();
}
for (const id of ['left', 'right', 'neither']) get(id).onclick = () => vote(id);
document.onkeydown = e => {
  const better = { ArrowLeft: 'left', ArrowRight: 'right', ArrowDown: 'neither' }[e.key];
  if (better) { e.preventDefault(); vote(better) }
};
get('save').onclick = () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(kept, null, 1)], { type: 'application/json' }));
  link.download = 'votes-' + kept.voter + '.json';
  link.click();
};
next();
"""
