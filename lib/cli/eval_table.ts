/** An evaluation for people. */

import type {EvaluatedModel, Evaluation} from '../eval/types.js';
import {formatBytes} from './format.js';
import {formatTable} from './table.js';

/** A row a model, then a line that holds one against the other. */
export function formatEvaluation({tokens, window, stride, model, against, comparison}: Evaluation): string {
  const right = {align: 'right'} as const;
  const table = formatTable(
    [
      {title: 'model', maxWidth: 40},
      ...['perplexity', 'on disk', 'weights', 'cache', 'RSS', 'prompt tok/s', 'reply tok/s'].map((title) => ({title, ...right})),
    ],
    [model, ...(against === undefined ? [] : [against])].map(rowOf),
  );
  const lines = [`${tokens.scored} tokens scored, windows of ${window}${stride === window ? '' : `, ${stride} apart`}`];
  if (comparison !== undefined) {
    const {perplexityRatio, perplexityRatioError, divergence, top1Agreement} = comparison;
    lines.push(
      `perplexity ratio ${perplexityRatio.toFixed(5)} ± ${perplexityRatioError.toFixed(5)} (${percent(perplexityRatio - 1)})`,
      `KL divergence mean ${nats(divergence.mean)}, median ${nats(divergence.median)}, 99 % within ${nats(divergence.p99)}, largest ${nats(divergence.max)}`,
      `same most likely token ${(100 * top1Agreement).toFixed(2)} %`,
    );
  }
  return `${table}\n${lines.join('\n')}\n`;
}

function rowOf({source, perplexity, perplexityError, diskBytes, memory, rssBytes, speed}: EvaluatedModel): string[] {
  return [
    source,
    `${perplexity.toFixed(4)} ± ${perplexityError.toFixed(4)}`,
    formatBytes(diskBytes),
    parts(memory, 'weights'),
    parts(memory, 'cache'),
    formatBytes(Math.max(0, rssBytes)),
    speed.prompt.toFixed(0),
    speed.reply === undefined ? '-' : speed.reply.toFixed(1),
  ];
}

/** By place where there are several. */
function parts(memory: EvaluatedModel['memory'], what: 'weights' | 'cache'): string {
  const found = memory.filter((part) => part.what === what);
  return found.length === 0 ? '-' : found.map(({where, bytes}) => `${formatBytes(bytes)} ${where}`).join(' + ');
}

function percent(part: number): string {
  return `${part < 0 ? '' : '+'}${(100 * part).toFixed(3)} %`;
}

function nats(value: number): string {
  return value.toPrecision(3);
}
