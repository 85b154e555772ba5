/// The style sheets and the script of the pages about training runs, besides those of all pages.
/// The script only shows values under the pointer, and contains no < or & that would need escaping.
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

/// For a page about several runs, besides the report's.
inline constexpr const char* kComparisonStyle = R"css(
:root { --run1: #4c86c6; --run2: #c2571a; --run3: #3f7f6b; --run4: #8a5fb0; --run5: #b3202c; --run6:
  #9a6c00; --run7: #5c6b73; --run8: #c2418f; }
@media screen and (prefers-color-scheme: dark) {
  :root { --run1: #6ba3e0; --run2: #f09554; --run3: #6fbfa3; --run4: #b894dc; --run5: #f0707a;
    --run6: #e0b050; --run7: #a3b1ba; --run8: #ee86c4; }
}
.line[class*=" run"] { stroke-width: 1.6; }
.compared th:not(:first-child) { text-align: right; color: var(--ink); padding: .18rem 0 .18rem 1rem; }
.compared td { padding-left: 1rem; }
.key.runa { border-color: var(--run1); } .line.runa { stroke: var(--run1); } .dot.runa { fill: var(--run1); }
.key.runb { border-color: var(--run2); } .line.runb { stroke: var(--run2); } .dot.runb { fill: var(--run2); }
.key.runc { border-color: var(--run3); } .line.runc { stroke: var(--run3); } .dot.runc { fill: var(--run3); }
.key.rund { border-color: var(--run4); } .line.rund { stroke: var(--run4); } .dot.rund { fill: var(--run4); }
.key.rune { border-color: var(--run5); } .line.rune { stroke: var(--run5); } .dot.rune { fill: var(--run5); }
.key.runf { border-color: var(--run6); } .line.runf { stroke: var(--run6); } .dot.runf { fill: var(--run6); }
.key.rung { border-color: var(--run7); } .line.rung { stroke: var(--run7); } .dot.rung { fill: var(--run7); }
.key.runh { border-color: var(--run8); } .line.runh { stroke: var(--run8); } .dot.runh { fill: var(--run8); }
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
