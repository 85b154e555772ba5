/// The style sheet and the script of the report, besides those of all pages. The script only shows
/// values under the pointer, and contains no < or & that would need escaping.
#pragma once

namespace unroll {

inline constexpr const char* kReportStyle = R"css(
:root { --training: #4c86c6; --validation: #c2571a; --diverged: #b3202c; --jump: #9a6c00;
  --other: #3f7f6b; }
@media screen and (prefers-color-scheme: dark) {
  :root { --training: #6ba3e0; --validation: #f09554; --diverged: #f0707a; --jump: #e0b050;
    --other: #6fbfa3; }
}
figcaption output { margin-left: auto; color: var(--ink); font-variant-numeric: tabular-nums; }
.key.training { border-color: var(--training); }
.key.validation { border-color: var(--validation); }
.key.diverged, .key.jump { width: 0; border: 5px solid transparent; border-bottom: 0;
  border-top: 9px solid var(--diverged); vertical-align: 0; }
.key.jump { border-top-color: var(--jump); }
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
.mark.jump path, .mark.jump text { fill: var(--jump); }
.mark.jump path.drop { fill: none; stroke: var(--jump); stroke-dasharray: 2 3; opacity: .6; }
.cursor { stroke: var(--soft); stroke-dasharray: 3 3; fill: none; }
.narrow { display: none; }
.small { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1.2rem; margin-top: 1.6rem; }
ol.events { margin: .8rem 0 0; padding-left: 2rem; font-size: .85rem; }
ol.events li::marker { color: var(--diverged); font-weight: 600; }
.sample { margin: .8rem 0 0; padding: .8rem 1rem; background: var(--panel); border-radius: 6px;
  break-inside: avoid; }
.sample p { white-space: pre-wrap; overflow-wrap: anywhere; }
.config { columns: 3; column-gap: 2.2rem; }
.config section { margin-bottom: 1.2rem; }
.config section:not(:last-child) { break-inside: avoid; }
@media print, screen and (max-width: 58rem) {
  .config { columns: 2; }
  .wide text { font-size: 14px; }
}
@media screen and (max-width: 46rem) {
  .wide { display: none; }
  .narrow { display: block; }
  .small { grid-template-columns: 1fr; }
  .config { columns: 1; }
}
@media print {
  .config { columns: 3; column-gap: 1.4rem; }
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
