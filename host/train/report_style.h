/// Style sheet and script of the report. The dark colours are for screens alone; the script only
/// adds read-outs under the pointer, and contains no < or & that would need escaping.
#pragma once

namespace unroll {

inline constexpr const char* kReportStyle = R"css(
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2329; --soft: #66707b;
  --rule: #e3e7eb; --training: #4c86c6; --validation: #c2571a; --diverged: #b3202c;
  --other: #3f7f6b; --panel: #f6f8f9; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14181c; --ink: #e4e8ec; --soft: #97a2ad; --rule: #2b323a;
    --training: #6ba3e0; --validation: #f09554; --diverged: #f0707a; --other: #6fbfa3;
    --panel: #1c2127; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.2rem 1.2rem 3rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 .7rem; font-size: 1.05rem; font-weight: 650; }
h3 { margin: 0 0 .3rem; font-size: .85rem; font-weight: 600; color: var(--soft); }
p { margin: .2rem 0 0; }
.soft, figcaption, dt, .note { color: var(--soft); }
.summary { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 1px;
  margin: 1.5rem 0 0; padding: 0; background: var(--rule); border: 1px solid var(--rule); border-radius: 6px;
  overflow: hidden; }
.summary div { padding: .7rem .8rem .6rem; background: var(--paper); }
.summary dt { font-size: .76rem; line-height: 1.3; }
.summary dd { margin: .15rem 0 0; font-size: 1.25rem; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.summary dd + dd { font-size: .76rem; font-weight: 400; color: var(--soft); }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem 1.1rem;
  margin-bottom: .3rem; font-size: .8rem; min-height: 1.2rem; }
figcaption b { color: var(--ink); font-weight: 600; }
figcaption output { margin-left: auto; color: var(--ink); font-variant-numeric: tabular-nums; }
.key { display: inline-block; width: 1.1rem; height: 0; margin-right: .4rem;
  border-top: 2.5px solid; vertical-align: .25em; }
.key.training { border-color: var(--training); }
.key.validation { border-color: var(--validation); }
.key.diverged { width: 0; border: 5px solid transparent; border-top: 9px solid var(--diverged);
  border-bottom: 0; vertical-align: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px/1 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  fill: var(--soft); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); fill: none; }
.axis { stroke: var(--soft); fill: none; }
.line { fill: none; stroke: var(--other); stroke-width: 1.5; stroke-linejoin: round;
  stroke-linecap: round; }
.line.training { stroke: var(--training); stroke-width: 1.3; }
.line.validation { stroke: var(--validation); stroke-width: 1.8; }
.dot { fill: var(--other); }
.dot.training { fill: var(--training); }
.dot.validation { fill: var(--validation); }
.mark circle { fill: none; stroke: var(--validation); stroke-width: 1.8; }
.mark text { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--paper);
  stroke-width: 3.5px; stroke-linejoin: round; }
.mark.diverged path { fill: var(--diverged); }
.mark.diverged path.drop { fill: none; stroke: var(--diverged); stroke-dasharray: 2 3;
  opacity: .6; }
.mark.diverged text { fill: var(--diverged); }
.cursor { stroke: var(--soft); stroke-dasharray: 3 3; fill: none; }
.narrow { display: none; }
.small { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1.2rem; margin-top: 1.6rem; }
ol.events { margin: .8rem 0 0; padding-left: 2rem; font-size: .85rem; }
ol.events li::marker { color: var(--diverged); font-weight: 600; }
.sample { margin: .8rem 0 0; padding: .8rem 1rem; background: var(--panel); border-radius: 6px;
  break-inside: avoid; }
.note { font-size: .85rem; }
.sample p { white-space: pre-wrap; overflow-wrap: anywhere; }
.config { columns: 3; column-gap: 2.2rem; }
.config section { margin-bottom: 1.2rem; }
.config section:not(:last-child) { break-inside: avoid; }
h2, h3, h2 + .note { break-after: avoid; }
tr { break-inside: avoid; }
table { width: 100%; border-collapse: collapse; font-size: .85rem; }
th, td { padding: .18rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { text-align: left; font-weight: 400; color: var(--soft); padding-right: 1rem; }
td { text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
@media print, screen and (max-width: 58rem) {
  .summary { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .config { columns: 2; }
  .wide text { font-size: 14px; }
}
@media screen and (max-width: 46rem) {
  body { padding-top: 1.4rem; }
  .summary { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .wide { display: none; }
  .narrow { display: block; }
  .small { grid-template-columns: 1fr; }
  .config { columns: 1; }
}
@page { size: A4; margin: 14mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 10.5pt; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  h2 { margin-top: 1.3rem; }
  .config { columns: 3; column-gap: 1.4rem; }
  table { font-size: .76rem; }
  .sample { margin-top: .5rem; padding: .5rem .8rem; font-size: .9em; }
}
)css";

inline constexpr const char* kReportScript = R"js(
for (const svg of document.querySelectorAll("svg")) {
  const numbers = name => svg.dataset[name].split(" ").map(Number);
  const [x0, x1] = numbers("x"), [y0, y1] = numbers("y");
  const [left, top, right, bottom] = numbers("box");
  const cursor = svg.querySelector(".cursor");
  const output = svg.closest("figure").querySelector("output");
  const lines = [...svg.querySelectorAll(".line")].map(path => ({
    name: path.dataset.name,
    points: [...path.getAttribute("d").matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(m => [+m[1], +m[2]])
  })).filter(line => line.points.length);
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const nearest = line => line.points.reduce((best, point) =>
      Math.abs(best[0] - at) > Math.abs(point[0] - at) ? point : best);
    if (!lines.length) return;
    const x = nearest(lines[0])[0];
    const step = Math.round(x0 + (x - left) / (right - left) * (x1 - x0));
    const values = lines.map(line => {
      const y = y0 + (bottom - nearest(line)[1]) / (bottom - top) * (y1 - y0);
      return (lines.length > 1 ? line.name + " " : "") + (+y.toPrecision(3)).toLocaleString("en");
    });
    cursor.setAttribute("d", "M" + x + " " + top + "V" + bottom);
    output.textContent = "step " + step.toLocaleString("en") + ": " + values.join(", ");
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("d", "");
    output.textContent = "";
  });
}
)js";

}  // namespace unroll
