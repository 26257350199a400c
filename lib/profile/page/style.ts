/** The page's style sheet: light or dark, as the reader's system is. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f4f6f9; --panel: #ffffff; --raised: #f1f4f8; --line: #e3e8ef; --text: #182130; --muted: #66728a;
  --pale: #e6eaf0; --accent: #2f6fed; --warn: #b3402f; --gap: #c4606b; --copy: #b9810a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1219; --panel: #151b25; --raised: #1c2431; --line: #273142; --text: #e3e9f3; --muted: #8f9bb2;
    --pale: #263041; --accent: #78a6ff; --warn: #f0907f; --gap: #e58a93; --copy: #efb118;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; padding: 22px 26px 30px; max-width: 1760px; background: var(--page); color: var(--text);
  font: 13px/1.45 Inter, system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums; }
h1, h2, h3, p { margin: 0; font-weight: 600; }
p { font-weight: 400; }
header { margin-bottom: 18px; }
.about { color: var(--muted); font-size: 12px; }
.about strong { color: var(--text); font-weight: 600; }
.about span::before { content: "·"; margin: 0 6px; }
h1 { font-size: 25px; line-height: 1.25; letter-spacing: -0.015em; margin: 6px 0 3px; }
.verdict { color: var(--muted); font-size: 14px; }
.note { color: var(--warn); margin-top: 5px; }
h2 { font-size: 13px; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; margin-bottom: 14px; }
#figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 14px; margin-bottom: 14px; }
.figure { position: relative; background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px 16px; min-width: 0; }
.figure h3 { font-size: 11.5px; font-weight: 500; color: var(--muted); }
.figure b { display: block; font-size: 22px; font-weight: 600; letter-spacing: -0.02em; line-height: 1.35; }
.figure span { display: block; color: var(--muted); font-size: 11.5px; min-height: 1.45em; }
.meter { display: flex; gap: 1px; height: 4px; margin-top: 9px; background: var(--pale); border-radius: 2px; overflow: hidden; }
.meter i { background: var(--accent); }
.meter i:nth-child(2) { opacity: 0.6; }
.meter i:nth-child(n+3) { opacity: 0.35; }
.columns { display: grid; grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr); gap: 14px; }
@media (max-width: 980px) { .columns { grid-template-columns: minmax(0, 1fr); gap: 0; } }
.head { display: flex; justify-content: space-between; align-items: center; min-height: 26px; margin-bottom: 8px; }
button, select, input { font: inherit; color: inherit; }
button { cursor: pointer; background: none; border: 0; padding: 0; text-align: left; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -1px; border-radius: 5px; }
#tabs { display: flex; gap: 2px; background: var(--raised); border-radius: 7px; padding: 2px; }
#tabs button { padding: 2px 10px; border-radius: 5px; color: var(--muted); font-size: 12px; }
#tabs button[aria-pressed="true"] { background: var(--panel); color: var(--text); box-shadow: 0 0 0 1px var(--line); }
#breakdown { max-height: 304px; overflow: auto; }
.bar { display: grid; width: 100%; align-items: center; gap: 10px; padding: 3px 6px; border-radius: 6px;
  grid-template-columns: minmax(90px, 230px) 62px minmax(40px, 1fr) 66px 48px; }
.bar:hover, #findings button:hover { background: var(--raised); }
.bar-name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar-count, .bar-share { color: var(--muted); font-size: 11.5px; text-align: right; }
.bar-total { text-align: right; }
.bar-track { height: 10px; }
.bar-fill { display: block; height: 100%; min-width: 1px; border-radius: 2px; background: var(--accent); opacity: 0.75; }
.more { color: var(--muted); padding: 4px 6px; }
#findings { max-height: 304px; overflow: auto; }
#findings button { display: flex; width: 100%; align-items: baseline; gap: 10px; padding: 5px 6px; border-radius: 6px; }
#findings .what { flex: 1; min-width: 0; overflow-wrap: anywhere; }
#findings small { display: block; color: var(--muted); font-size: 11.5px; }
#findings b { font-weight: 500; white-space: nowrap; }
.nothing { color: var(--muted); padding: 5px 6px; }
.badge { flex: none; width: 74px; text-align: center; font-size: 11px; border-radius: 5px; padding: 1px 0; border: 1px solid currentColor; }
.badge.gap { color: var(--gap); }
.badge.copy { color: var(--copy); }
.badge.step { color: var(--accent); }
#panel { padding: 12px 0 10px; overflow: hidden; }
#toolbar { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; padding: 0 16px 10px; }
#filter { width: 262px; padding: 4px 10px; border: 1px solid var(--line); border-radius: 7px; background: var(--raised); }
#toolbar label { color: var(--muted); font-size: 12px; }
#color-by { color: var(--text); background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: 2px 4px; }
#matches { color: var(--accent); font-size: 12px; }
#matches:empty { display: none; }
#legend { display: flex; flex-wrap: wrap; gap: 2px 12px; flex: 1; min-width: 200px; }
#legend button { font-size: 11.5px; color: var(--muted); white-space: nowrap; }
#legend button:hover { color: var(--text); }
#legend button::before, #tooltip .name::before { content: ""; display: inline-block; width: 9px; height: 9px; border-radius: 2px;
  margin-right: 5px; background: var(--color); }
#range { color: var(--muted); font-size: 12px; }
#all { padding: 2px 9px; border: 1px solid var(--line); border-radius: 6px; font-size: 12px; }
.strip { position: relative; height: 42px; border-top: 1px solid var(--line); background: var(--raised); }
#overview, #brush { position: absolute; inset: 0; width: 100%; height: 42px; display: block; }
#brush .selection { fill: var(--accent); fill-opacity: 0.14; stroke: var(--accent); stroke-opacity: 0.7; }
#axis { display: block; width: 100%; height: 28px; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); overflow: hidden; color: var(--muted); }
#axis text { font: 11px Inter, system-ui, sans-serif; fill: var(--muted); }
#axis .domain { display: none; }
#tracks { position: relative; overflow: hidden; touch-action: none; user-select: none; -webkit-user-select: none; cursor: grab; }
#timeline { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
#selected { position: absolute; top: 0; bottom: 0; pointer-events: none; background: color-mix(in srgb, var(--accent) 13%, transparent);
  border: solid var(--accent); border-width: 0 1px; }
#selection { display: flex; gap: 14px; align-items: center; padding: 8px 16px; border-top: 1px solid var(--line); }
#selection-fields { display: flex; flex-wrap: wrap; gap: 4px 22px; flex: 1; }
#selection-fields span::before { content: attr(data-title) " "; color: var(--muted); }
#selection button { padding: 2px 9px; border: 1px solid var(--line); border-radius: 6px; font-size: 12px; }
.help { color: var(--muted); font-size: 11.5px; padding: 9px 16px 0; border-top: 1px solid var(--line); }
kbd { font: inherit; font-size: 10.5px; border: 1px solid var(--line); border-radius: 4px; padding: 0 4px; background: var(--raised); margin-right: 1px; }
#tooltip { position: fixed; z-index: 2; max-width: min(520px, 90vw); pointer-events: none; background: var(--panel); border: 1px solid var(--line);
  border-radius: 8px; padding: 8px 11px; box-shadow: 0 6px 24px rgb(0 0 0 / 0.18); }
#tooltip .name { font-weight: 600; overflow-wrap: anywhere; margin-bottom: 4px; }
#tooltip dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0 12px; margin: 0; font-size: 12px; }
#tooltip dt { color: var(--muted); }
#tooltip dd { margin: 0; overflow-wrap: anywhere; }
details.card { margin: 0; }
summary { cursor: pointer; color: var(--muted); }
pre { font: 12px/1.4 "DejaVu Sans Mono", ui-monospace, Menlo, Consolas, monospace; overflow: auto; margin: 10px 0 0; }
`;
