/** One HTML page of a trace, which needs nothing else and asks no network for anything. */

import type {Trace} from '../activity.js';
import {summarize} from '../summary.js';
import {formatSummary, formatTime} from '../summary_text.js';
import {type PageData, pageData} from './page_data.js';
import {timeline} from './timeline.js';

export interface PageOptions {
  title?: string;
  /** What the trace lacks, a line each. */
  notes?: readonly string[];
  /** The oldest ones beyond them are left out, and the page says so. Default 500,000. */
  maxEvents?: number;
}

const FINDINGS = 8;

export function makePage(trace: Trace, {title = 'Trace', notes = [], maxEvents = 500_000}: PageOptions = {}): string {
  const summary = summarize(trace);
  const {origin, left, ...events} = pageData(trace, maxEvents);
  const serial = summary.serialCopies.map(({name, stream, count, idle, worst}) => ({
    text: `${count} × serial ${name} on ${stream}: ${formatTime(idle)}`,
    ...worst,
  }));
  const gaps = summary.gaps.flatMap(({waitedFor, count, total, longest}) =>
    waitedFor === undefined ? [] : [{text: `${count} × gap, waiting for ${waitedFor}: ${formatTime(total)}`, ...longest}],
  );
  const findings = [...serial, ...gaps].slice(0, FINDINGS).map(({text, start, end}) => ({text, start: start - origin, end: end - origin}));
  const data: PageData = {...events, findings};
  const lacks = left === 0 ? notes : [...notes, `the oldest ${left} events are not on this page`];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
${lacks.map((note) => `<p class="note">${escaped(note)}</p>\n`).join('')}<details open><summary>Summary</summary><pre id="summary">${escaped(formatSummary(summary))}</pre></details>
<p id="findings">${findings.map(({text}, index) => `<button data-finding="${index}">${escaped(text)}</button>`).join('\n')}</p>
<p><input id="filter" type="search" placeholder="filter by name" aria-label="filter by name"> <span id="matches"></span>
<span id="range"></span> <span class="help">wheel: zoom; drag or shift and wheel: move; double click: all; keys: w a s d 0</span></p>
<div id="scroll"><div id="space"><canvas id="timeline"></canvas></div></div>
<div id="tooltip" hidden></div>
<script>
(${timeline})(${inScript(data)}, window);
</script>
</body>
</html>
`;
}

const STYLE = `
body { margin: 12px 16px; font: 13px/1.4 system-ui, sans-serif; color: #1b1b1b; background: #fff; }
h1 { font-size: 17px; margin: 0 0 6px; }
p { margin: 6px 0; }
pre { font-size: 12px; max-height: 42vh; overflow: auto; background: #f6f6f6; padding: 8px; margin: 4px 0; }
.note { color: #a33; }
.help { color: #777; float: right; }
button { font: inherit; margin: 0 6px 4px 0; }
#matches { margin: 0 12px; }
#scroll { height: 70vh; overflow-y: auto; border: 1px solid #ddd; }
#space { min-height: 70vh; }
#timeline { position: sticky; top: 0; display: block; width: 100%; height: 70vh; touch-action: none; }
#tooltip { position: fixed; width: max-content; max-width: 60%; white-space: pre-wrap; pointer-events: none;
  background: #fffff0; border: 1px solid #999; padding: 4px 8px; z-index: 1; }
#tooltip[hidden] { display: none; }
`;

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** JSON that does not end the script it is in, whatever names it holds. */
function inScript(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
