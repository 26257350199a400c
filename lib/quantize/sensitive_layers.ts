/** The layers of a language model that lose most by being rounded to 4 bits, told by their names. */

/** Products before and after attention. */
const ATTENTION = /(^|\.)(q|k|v|qkv|o)_proj$/;
const DOWN = /(^|\.)down_proj$/;
const LAYER = /(?:^|\.)(\d+)\./;

/**
 * Attention's products, which are few beside the others; and where the gated product goes back into the hidden rows, of the first
 * and last eighth of the layers and of every third between: layers that make the hidden rows' few enormous values are among
 * them. It is how llama.cpp chooses for its mixes (use_more_bits), but that those leave most of attention alone.
 */
export function sensitiveLayers<T extends {name: string}>(layers: readonly T[]): T[] {
  const count = Math.max(...layers.map(({name}) => layerOf(name))) + 1;
  return layers.filter(({name}) => ATTENTION.test(name) || (DOWN.test(name) && atEndsOrThird(layerOf(name), count)));
}

/** -1 of what is no layer's. */
function layerOf(name: string): number {
  return Number(LAYER.exec(name)?.[1] ?? -1);
}

function atEndsOrThird(layer: number, count: number): boolean {
  const eighth = Math.floor(count / 8);
  return layer < eighth || layer >= Math.floor((7 * count) / 8) || (layer - eighth) % 3 === 2;
}
