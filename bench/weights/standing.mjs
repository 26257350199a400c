/** Figures of other benchmarks' saved results. */

import {existsSync, readFileSync} from 'node:fs';

const file = new URL('../results/generate.jsonl', import.meta.url);
const CLAIMS = {'8b': 'generate.2.8b_fp16_tok_s', '135m': 'generate.1.135m_fp16_tok_s'};

/** Tokens a second of one stream with all weights in VRAM, as last saved; undefined where nothing is. */
export function standingFigure(shape) {
  if (!existsSync(file)) return undefined;
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line)).findLast(({claim}) => claim === CLAIMS[shape])?.value;
}
