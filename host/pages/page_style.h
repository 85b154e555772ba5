/// The style sheet of all HTML pages of the program. Its dark colours are only for screens.
#pragma once

namespace unroll {

inline constexpr const char* kPageStyle = R"css(
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2329; --soft: #66707b;
  --rule: #e3e7eb; --panel: #f6f8f9; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14181c; --ink: #e4e8ec; --soft: #97a2ad; --rule: #2b323a; --panel: #1c2127; }
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
.key { display: inline-block; width: 1.1rem; height: 0; margin-right: .4rem;
  border-top: 2.5px solid; vertical-align: .25em; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px/1 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  fill: var(--soft); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); fill: none; }
.axis { stroke: var(--soft); fill: none; }
.note { font-size: .85rem; }
h2, h3, h2 + .note { break-after: avoid; }
tr { break-inside: avoid; }
table { width: 100%; border-collapse: collapse; font-size: .85rem; }
th, td { padding: .18rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { text-align: left; font-weight: 400; color: var(--soft); padding-right: 1rem; }
td { text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
@media print, screen and (max-width: 58rem) {
  .summary { grid-template-columns: repeat(3, minmax(0, 1fr)); }
}
@media screen and (max-width: 46rem) {
  body { padding-top: 1.4rem; }
  .summary { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@page { size: A4; margin: 14mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 10.5pt; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  h2 { margin-top: 1.3rem; }
  table { font-size: .76rem; }
}
)css";

}  // namespace unroll
