/** One HTML page of a trace, which needs nothing else and asks no network for anything. */

import {readFileSync} from 'node:fs';

import type {Trace} from '../activity.js';
import {summarize} from '../summary.js';
import {formatSummary, formatTime} from '../summary_text.js';
import {type PageData, pageData} from './page_data.js';
import {STYLE} from './style.js';
import {figures, findings, lists, type PageFigure, type PageFinding, type PageTimes, verdict} from './summary_parts.js';

export interface PageOptions {
  title?: string;
  /** What the trace lacks, a line each. */
  notes?: readonly string[];
  /** The oldest ones beyond them are left out, and the page says so. Default 500,000. */
  maxEvents?: number;
}

/** What the page's script reads. */
export interface PageContent {
  data: PageData;
  findings: PageFinding[];
  lists: PageTimes[];
}

const FINDINGS = 12;

export function makePage(trace: Trace, {title = 'Trace', notes = [], maxEvents = 500_000}: PageOptions = {}): string {
  const summary = summarize(trace);
  const {data, origin, left} = pageData(trace, maxEvents);
  const found = findings(summary, origin).slice(0, FINDINGS);
  const content: PageContent = {data, findings: found, lists: lists(summary)};
  const lacks = left === 0 ? notes : [...notes, `the oldest ${left} events are not on this page`];
  const {text, note} = verdict(summary);
  const {device, source} = trace.info;
  const about = [device, source, summary.span > 0 ? `${formatTime(summary.span)} on the GPU` : undefined].filter(
    (each) => each !== undefined,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<p class="about"><strong>${escaped(title)}</strong> ${about.map((each) => `<span>${escaped(each)}</span>`).join(' ')}</p>
<h1>${escaped(text)}</h1>
<p class="verdict">${escaped(note)}</p>
${lacks.map((line) => `<p class="note">${escaped(line)}</p>\n`).join('')}</header>
<section id="figures">
${figures(summary).map(figure).join('\n')}
</section>
<div class="columns">
<section class="card"><div class="head"><h2>Where the time went</h2><div id="tabs"></div></div><div id="breakdown"></div></section>
<section class="card"><div class="head"><h2>Look at first</h2></div><div id="findings">
${found.length === 0 ? '<p class="nothing">No serial copies, and no gaps that waited for something known.</p>' : found.map(finding).join('\n')}
</div></section>
</div>
<section class="card" id="panel">
<div id="toolbar">
<input id="filter" type="search" placeholder="Filter by name, phase or layer  ( / )" aria-label="filter by name, phase or layer" spellcheck="false">
<span id="matches" role="status"></span>
<label>color by <select id="color-by"><option value="kernel">kernel</option><option value="phase">phase</option><option value="layer">layer</option></select></label>
<span id="legend"></span>
<span id="range"></span><button type="button" id="all" title="show all (0)">all</button>
</div>
<div class="strip"><canvas id="overview"></canvas><svg id="brush" aria-label="what is shown of the whole"></svg></div>
<svg id="axis"></svg>
<div id="tracks"><canvas id="timeline"></canvas><div id="selected" hidden></div></div>
<div id="selection" hidden><span id="selection-fields"></span><button type="button" id="zoom-to-selection">zoom to it</button><button type="button" id="clear-selection" title="clear (Esc)">×</button></div>
<p class="help"><kbd>wheel</kbd> zoom · <kbd>drag</kbd> or <kbd>shift</kbd>+<kbd>wheel</kbd> move · <kbd>shift</kbd>+<kbd>drag</kbd> measure · <kbd>click</kbd> on a group folds it · <kbd>←</kbd><kbd>→</kbd><kbd>+</kbd><kbd>−</kbd><kbd>0</kbd> move, zoom, all · <kbd>/</kbd> filter, <kbd>n</kbd> next match · <kbd>Esc</kbd> back</p>
</section>
<details class="card"><summary>The summary as text</summary><pre id="summary">${escaped(formatSummary(summary))}</pre></details>
<div id="tooltip" role="tooltip" hidden></div>
<script type="application/json" id="content">${inScript(content)}</script>
<script>
${pageScript()}
</script>
</body>
</html>
`;
}

let script: string | undefined;

/** What the build made of browser/ and the parts of D3 that it uses. */
function pageScript(): string {
  script ??= readFileSync(new URL('./script.js', import.meta.url), 'utf8').replaceAll('</script', '<\\/script');
  return script;
}

function figure({title, value, note, share, parts}: PageFigure): string {
  const bars = parts ?? (share === undefined ? [] : [{name: title, share}]);
  const bar = bars
    .map((each) => `<i style="width:${(Math.min(1, each.share) * 100).toFixed(1)}%" title="${escaped(each.name)}"></i>`)
    .join('');
  return `<div class="figure"><h3>${escaped(title)}</h3><b>${escaped(value)}</b><span>${escaped(note)}</span>${bar && `<div class="meter">${bar}</div>`}</div>`;
}

function finding({kind, text, note, total}: PageFinding, index: number): string {
  const badge = `<span class="badge ${kind.replace(/.* /, '')}">${kind}</span>`;
  return `<button type="button" data-finding="${index}">${badge}<span class="what">${escaped(text)}<small>${escaped(note)}</small></span><b>${formatTime(total)}</b></button>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** JSON that does not end the script it is in, whatever names it holds. */
function inScript(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}
