# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the pages look: colours for light and dark, each pair with a contrast of 4.5 to 1 or more (WCAG 2.1, 1.4.3)."""

from __future__ import annotations

LIGHT = {
    "page": "#f4f6f8", "card": "#ffffff", "line": "#d5dbe2", "text": "#1b2530", "muted": "#4e5b69", "accent": "#0b5a9d",
    "band": "#cfe1f2", "ok": "#14653a", "ok-back": "#e3f3e9", "warning": "#7a4a00", "warning-back": "#fcefd3",
    "critical": "#a3161c", "critical-back": "#fde6e6", "unknown": "#474d63", "unknown-back": "#e7e9f1",
}
DARK = {
    "page": "#11161c", "card": "#1a2129", "line": "#323d49", "text": "#e7ecf2", "muted": "#a9b5c2", "accent": "#7cb9f5",
    "band": "#24425f", "ok": "#86d6a3", "ok-back": "#163324", "warning": "#f0c069", "warning-back": "#3a2c10",
    "critical": "#ff9d9d", "critical-back": "#46191c", "unknown": "#bfc5dc", "unknown-back": "#2b3040",
}
STALE_SECONDS = 900
"""A page that lies open for longer than this says so itself; none that is younger can be shown then."""

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.5rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem;font-weight:650}
h2{font-size:1.2rem;line-height:1.3;margin:2.25rem 0 .75rem;font-weight:650}
h3{font-size:1rem;line-height:1.35;margin:0;font-weight:600}
p{margin:.25rem 0}
a{color:var(--accent)}
a:focus-visible,summary:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.muted,.written,footer{color:var(--muted)}
.written,.small,footer{font-size:.875rem}
.lead{display:flex;flex-wrap:wrap;gap:.25rem .75rem;align-items:baseline}
section:first-of-type{margin-top:1.25rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:.75rem 0 0;font-size:.9375rem}
nav a{display:inline-block;padding:.25rem 0}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.state{display:inline-block;border-radius:.375rem;padding:.0625rem .5rem;font-weight:600;font-size:.875rem;
white-space:nowrap}
.ok{color:var(--ok);background:var(--ok-back)}
.warning{color:var(--warning);background:var(--warning-back)}
.critical{color:var(--critical);background:var(--critical-back)}
.unknown{color:var(--unknown);background:var(--unknown-back)}
.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,15.5rem),1fr))}
.wide{grid-template-columns:repeat(auto-fit,minmax(min(100%,29rem),1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:.625rem;padding:1rem;min-width:0}
.answer{border-top:.3125rem solid var(--edge);padding-top:.75rem}
.answer h3{color:var(--muted);font-size:.9375rem;font-weight:500}
.answer .verdict{font-size:1.3rem;line-height:1.3;font-weight:650;margin:.375rem 0 .5rem;display:flex;gap:.5rem;
align-items:baseline}
.answer .symbol{flex:none;display:inline-block;width:1.6em;height:1.6em;line-height:1.6em;border-radius:50%;
text-align:center;font-size:1rem}
.answer p{font-size:.9375rem}
.edge-ok{--edge:var(--ok)}.edge-warning{--edge:var(--warning)}.edge-critical{--edge:var(--critical)}
.edge-unknown{--edge:var(--unknown)}
.edge-unknown.answer{border-top-style:dashed}
table{width:100%;border-collapse:collapse;font-size:.9375rem}
caption{text-align:left;color:var(--muted);font-size:.875rem;padding:0 0 .5rem}
th,td{text-align:left;vertical-align:top;padding:.4375rem .75rem .4375rem 0;border-top:1px solid var(--line)}
th:last-child,td:last-child{padding-right:0}
thead th{border-top:0;color:var(--muted);font-size:.8125rem;font-weight:600;padding-top:0}
tbody th{font-weight:500}
tbody th[scope=rowgroup]{color:var(--muted);font-size:.8125rem;font-weight:600;padding-top:1.125rem}
.stacked{table-layout:fixed}
.stacked th:first-child{width:28%}.stacked thead th:nth-child(2){width:7.5rem}
.stacked thead th:nth-child(n+4){width:24%}
.five thead th:nth-child(4){width:17%}.five thead th:nth-child(5){width:12%}.five th:first-child{width:24%}
.label{display:none}
.after{margin-top:1rem}.after table{margin:0}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.mono{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.875rem}
.figure{font-size:1.3rem;font-weight:650;font-variant-numeric:tabular-nums;margin:.125rem 0 .5rem}
.plots{display:grid;gap:.75rem 1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,12rem),1fr))}
figure{margin:0;min-width:0}
figcaption{font-size:.8125rem;color:var(--muted);line-height:1.4}
figcaption b{color:var(--text);font-weight:600}
.axis{display:flex;justify-content:space-between;font-size:.75rem;color:var(--muted);
font-variant-numeric:tabular-nums}
svg{display:block;width:100%;overflow:visible}
svg.line{height:4.5rem}svg.bars{height:4.5rem}svg.strip{height:2rem}
td svg.bars{height:1.5rem;min-width:4rem}
.providers th:last-child{width:40%}
svg *{vector-effect:non-scaling-stroke}
.p-line{fill:none;stroke:var(--accent);stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round}
.p-band{fill:var(--band);stroke:none}
.p-base,.p-tick{stroke:var(--line);stroke-width:1}
.p-limit{stroke:var(--critical);stroke-width:1.25;stroke-dasharray:5 4}
.p-bar{fill:var(--accent)}
.p-none{stroke:var(--unknown);stroke-width:1.5;stroke-dasharray:2 3}
.p-ok{fill:var(--ok)}.p-warning{fill:var(--warning)}.p-critical{fill:var(--critical)}.p-unknown{fill:var(--unknown)}
details{margin-top:.5rem;font-size:.875rem}
summary{cursor:pointer;color:var(--accent);padding:.25rem 0}
.stale{position:fixed;inset:auto 0 0;z-index:9;padding:.75rem 1rem;text-align:center;font-weight:600;
border-top:2px solid;visibility:hidden;animation:stale 1s steps(1) STALEs forwards}
@keyframes stale{from,to{visibility:visible}}
footer{padding-top:1.5rem;padding-bottom:4rem}
@media (max-width:30rem){
.label{display:inline}
.stacked,.stacked caption,.stacked tbody{display:block}
.stacked thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.stacked tr{display:grid;grid-template-columns:1fr auto;gap:.125rem .75rem;border-top:1px solid var(--line);
padding:.625rem 0}
.stacked th,.stacked td,.stacked th:first-child{border:0;padding:0;width:auto}
.stacked td:nth-child(n+3),.stacked th[scope=rowgroup]{grid-column:1/-1}
.stacked td:nth-child(n+3){color:var(--muted);font-size:.875rem}
.card{padding:.875rem}
}
@media print{
body{background:#fff}.stale,nav{display:none}
.card{break-inside:avoid}
h2{break-after:avoid}
}
"""


def stylesheet() -> str:
    """All rules, for one ``style`` element."""
    light, dark = _variables(LIGHT), _variables(DARK)
    return "".join((f":root{{color-scheme:light dark;{light}}}\n",
                    f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}",
                    _RULES.replace("STALE", str(STALE_SECONDS))))


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
