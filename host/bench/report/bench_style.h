/// The part of the style sheet that only benchmark pages have. Programs also differ in lightness,
/// so that they can be told apart in grey; on paper, from dark to light: unroll, onednn, cudnn,
/// pytorch.
#pragma once

namespace unroll::benchmark {

inline constexpr const char* kBenchStyle = R"css(
:root { --unroll: #1f4e8c; --cudnn: #e08a1e; --onednn: #b0568f; --pytorch: #bcc6cf;
  --other: #7d8b52; --floor: #b3202c; }
@media screen and (prefers-color-scheme: dark) {
  :root { --unroll: #8dbcf2; --cudnn: #d07c14; --onednn: #b65c96; --pytorch: #56626e;
    --other: #7d8b52; --floor: #ff8f96; }
}
.summary { grid-template-columns: repeat(4, minmax(0, 1fr)); }
ul.about { margin: .6rem 0 0; padding: 0; list-style: none; font-size: .85rem; color: var(--soft);
  overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
thead th { vertical-align: bottom; line-height: 1.25; }
th, td { padding-right: .8rem; }
th:last-child, td:last-child { padding-right: 0; }
td { white-space: nowrap; }
th.n { text-align: right; }
td.t { text-align: left; overflow-wrap: break-word; }
small { display: block; font-size: .9em; line-height: 1.3; color: var(--soft); }
td.wrap, td.wrap small { white-space: normal; }
td.wrap { min-width: 6.5rem; }
td.why { text-align: left; white-space: normal; color: var(--soft); }
.rows th.case { padding-top: .7rem; color: var(--ink); font-weight: 600; }
.rows tr.case { break-after: avoid; }
.rows td:first-child { padding-left: .8rem; }
details { margin-top: 2.2rem; }
summary { font-size: 1.05rem; font-weight: 650; margin-bottom: .7rem; }
.passes { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.2rem 2rem;
  margin-bottom: 1.6rem; }
.passes text { font-size: 9px; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 0 0 .6rem; font-size: .85rem;
  break-after: avoid; }
.legend span, figcaption b, h2, h3 { min-width: 0; overflow-wrap: anywhere; }
.legend .key { width: .9rem; height: .7rem; border: 0; vertical-align: -.05em; }
.legend .key.floor { width: 0; height: .9rem; border-left: 2px dashed var(--floor);
  vertical-align: -.15em; background: none; }
.bar rect { fill: var(--other); }
.key { background: var(--other); }
.bar.unroll rect { fill: var(--unroll); }
.key.unroll { background: var(--unroll); }
.bar.cudnn rect { fill: var(--cudnn); }
.key.cudnn { background: var(--cudnn); }
.bar.onednn rect { fill: var(--onednn); }
.key.onednn { background: var(--onednn); }
.bar.pytorch rect { fill: var(--pytorch); }
.key.pytorch { background: var(--pytorch); }
.label { paint-order: stroke; stroke: var(--paper); stroke-width: 2.5px; }
.label.strong { fill: var(--ink); font-weight: 700; }
.bar .cut { stroke: var(--paper); stroke-width: 2.5; fill: none; }
.floor { stroke: var(--floor); stroke-width: 1.4; stroke-dasharray: 3 2; fill: none; }
.name { fill: var(--ink); font-weight: 600; }
.name tspan { fill: var(--soft); font-weight: 400; }
@media print, screen and (min-width: 46.01rem) {
  .means small { display: inline; margin-left: .5rem; }
}
@media screen and (max-width: 46rem) {
  .summary { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .passes { grid-template-columns: minmax(0, 1fr); }
  .passes text { font-size: 11px; }
  .losses, .means { table-layout: fixed; font-size: .78rem; }
  .losses td, .means td { white-space: normal; overflow-wrap: break-word; }
  .losses td.wrap, .means td.wrap { min-width: 0; }
  .losses th, .losses td, .means th, .means td { padding-right: .35rem; }
  .losses th:nth-child(1) { width: 29%; }
  .losses th:nth-child(2) { width: 19%; }
  .losses th:nth-child(3), .means th:nth-child(3), .means th:nth-child(4) { width: 13%; }
  .means th:nth-child(1) { width: 21%; }
}
@media print {
  .summary { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .scroll { overflow-x: visible; }
  .passes text { font-size: 10px; }
  .rows { font-size: .62rem; line-height: 1.3; }
  .rows td { padding-top: .05rem; padding-bottom: .05rem; }
  th, td { padding-right: .4rem; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { list-style: none; }
}
)css";

}  // namespace unroll::benchmark
