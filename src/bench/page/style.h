// The page's looks. Colours are variables, one set for light and one for dark, both checked for contrast.
#pragma once

#include <string_view>

namespace nm::bench::page {

inline constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark;
  --ground:#fbfbfa; --card:#ffffff; --ink:#1c1e21; --soft:#5c636b; --line:#e2e4e7; --grid:#eceef0; --shade:#e5f1ea;
  --good:#16703f; --bad:#b3261e; --fast:#0b5cad; --unsure:#8a5a00;
  --arm0:#6b7280; --arm1:#0b6bcb; --arm2:#c2570c; --arm3:#0f8a5f; --arm4:#8e44ad; --arm5:#a3781a; --arm6:#c2185b; }
@media (prefers-color-scheme: dark) { :root {
  --ground:#15171a; --card:#1d2024; --ink:#e8eaed; --soft:#a2a9b1; --line:#33383e; --grid:#2a2e33; --shade:#1f3529;
  --good:#6fce9b; --bad:#ff8a80; --fast:#7fb8ff; --unsure:#f0c36d;
  --arm0:#9aa3ad; --arm1:#6cb2ff; --arm2:#ff9d5c; --arm3:#5fd3a2; --arm4:#d3a3f0; --arm5:#e6c25a; --arm6:#ff8fb8; } }
* { box-sizing: border-box }
body { margin:0; background:var(--ground); color:var(--ink); font:15px/1.5 system-ui,"Segoe UI",Roboto,Helvetica,Arial,sans-serif }
main { max-width:1060px; margin:0 auto; padding:32px 20px 60px }
h1 { font-size:26px; line-height:1.25; margin:0 0 4px } h2 { font-size:19px; margin:44px 0 10px } h3 { font-size:13.5px; margin:0 0 6px; font-weight:600 }
p { margin:6px 0 } .soft, figcaption, small { color:var(--soft) } figcaption { font-size:13px; margin-top:6px }
.tiles { display:grid; grid-template-columns:repeat(auto-fill,minmax(330px,1fr)); gap:14px } .tiles.small { grid-template-columns:repeat(auto-fill,minmax(250px,1fr)) }
figure { margin:0 } .tile, .card { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:14px 16px }
.verdicts { display:grid; grid-template-columns:repeat(auto-fit,minmax(170px,1fr)); gap:12px; margin:18px 0 6px }
.card b { display:block; font-size:27px; line-height:1.2; font-variant-numeric:tabular-nums } .card .what { font-size:13px; color:var(--soft) } .card .word { font-size:13px; font-weight:600 }
.EQUIVALENT { color:var(--good); fill:var(--good) } .OVERHEAD { color:var(--bad); fill:var(--bad) } .FASTER { color:var(--fast); fill:var(--fast) } .INCONCLUSIVE { color:var(--unsure); fill:var(--unsure) }
.note { border-left:4px solid var(--line); padding:8px 14px; background:var(--card); margin:14px 0; border-radius:0 8px 8px 0 } .note.bad { border-color:var(--bad) } .note.good { border-color:var(--good) }
.scroll { overflow-x:auto; background:var(--card); border:1px solid var(--line); border-radius:10px; padding:6px 10px }
table { border-collapse:collapse; font-variant-numeric:tabular-nums; font-size:13.5px; width:100% } th, td { text-align:right; padding:4px 9px; white-space:nowrap; border-bottom:1px solid var(--grid) }
th { font-weight:600; color:var(--soft); font-size:12.5px } tr:last-child td { border-bottom:0 } td.left, th.left { text-align:left } td.wrap { white-space:normal; overflow-wrap:anywhere } th.span { text-align:center; color:var(--ink); border-bottom:1px solid var(--line) } td.first, th.first { border-left:1px solid var(--line) }
.tight table { font-size:12px } .tight th, .tight td { padding:3px 4px }
.legend span { margin-right:18px; font-size:13px } .legend i { display:inline-block; width:11px; height:11px; border-radius:50%; margin-right:6px; vertical-align:-1px }
svg { display:block; width:100%; height:auto; font:11.5px system-ui,"Segoe UI",Roboto,Helvetica,Arial,sans-serif } svg text { fill:var(--ink) } svg .tick { fill:var(--soft); font-size:11px } svg .group { font-weight:600; font-size:13px } svg .label { font-size:11.5px } svg .value { font-variant-numeric:tabular-nums } svg .verdict { font-size:11px }
svg .EQUIVALENT { fill:var(--good) } svg .OVERHEAD { fill:var(--bad) } svg .FASTER { fill:var(--fast) } svg .INCONCLUSIVE { fill:var(--unsure) }
.grid { stroke:var(--grid) } .axis { stroke:var(--soft) } .one { stroke:var(--soft); stroke-width:1.4 } .margin { fill:var(--shade) }
.bar { stroke:var(--c); stroke-width:1.6 } .dot { fill:var(--c) } .dot.open { fill:var(--card); stroke:var(--c); stroke-width:1.8 } .curve { fill:none; stroke:var(--c); stroke-width:2 } .curve.base { stroke-dasharray:5 4 } .unit { fill:var(--c); fill-opacity:.45 } .median { stroke:var(--c); stroke-width:2.4 }
details { margin:10px 0 } summary { cursor:pointer; font-weight:600; padding:6px 0 }
@media print { body { background:#fff } .tile, .card { break-inside:avoid } }
)css";

}  // namespace nm::bench::page
