/**
 * What each token contributes to the text, as UTF-8 bytes. A token may hold part of a character, so that text
 * can only be made of bytes in a row; this is what lets a stream decode token by token, exactly.
 */

import {FormatError, UnsupportedError} from '../errors.js';
import type {JsonObject, TokenizerSource} from './tokenizer_file.js';

/** Characters dropped from the start of a text: sentencepiece puts a space before the first word. */
export interface LeadingStrip {
  character: string;
  count: number;
}

export interface TokenBytes {
  readonly leadingStrip: LeadingStrip;
  /** Whether the token is left out when special tokens are skipped. */
  isSpecial(token: number): boolean;
  /** Empty for a token outside the vocabulary: models pad their logits to a round size. */
  get(token: number): Uint8Array;
}

interface Piece {
  content: string;
  added: boolean;
}

/** Bytes are final; text goes on to the next step. */
type Step = (text: string, added: boolean) => string | Uint8Array;

const NO_BYTES = new Uint8Array();

/** `vocabulary` maps ids to tokens as tokenizer.json spells them. Throws for a decoder that is unknown or damaged. */
export function createTokenBytes(
  {json, path}: TokenizerSource,
  vocabulary: ReadonlyMap<number, Piece>,
  special: ReadonlySet<number>,
): TokenBytes {
  const {steps, leadingStrip} = compileDecoder(json.decoder, path);
  const encoder = new TextEncoder();
  const cache = new Map<number, Uint8Array>();

  const compute = ({content, added}: Piece): Uint8Array => {
    let text = content;
    for (const step of steps) {
      const result = step(text, added);
      if (typeof result !== 'string') return result;
      text = result;
    }
    return encoder.encode(text);
  };

  return {
    leadingStrip,
    isSpecial: (token) => special.has(token),
    get(token) {
      let bytes = cache.get(token);
      if (bytes === undefined) {
        const piece = vocabulary.get(token);
        if (piece === undefined) return NO_BYTES;
        bytes = compute(piece);
        cache.set(token, bytes);
      }
      return bytes;
    },
  };
}

function compileDecoder(decoder: JsonObject, path: string): {steps: Step[]; leadingStrip: LeadingStrip} {
  const steps: Step[] = [];
  const leadingStrip: LeadingStrip = {character: ' ', count: 0};
  // After Fuse the whole text is one piece: steps there see it all, which a stream never does.
  let fused = false;

  const unsupported = (what: string) =>
    new UnsupportedError(`${path}: decoder ${what}`, 'byte-level and sentencepiece-style decoders are supported');

  const add = (each: JsonObject): void => {
    switch (each?.type) {
      case 'Sequence': {
        const decoders = each.decoders;
        if (!Array.isArray(decoders)) throw new FormatError('ERR_TOKENIZER', path, 'decoder.decoders must be a list');
        for (const inner of decoders) add(inner as JsonObject);
        return;
      }
      case 'ByteLevel':
        if (fused) throw unsupported('ByteLevel after Fuse');
        steps.push(byteLevel);
        return;
      case 'ByteFallback':
        if (fused) throw unsupported('ByteFallback after Fuse');
        steps.push(byteFallback);
        return;
      case 'Replace': {
        const pattern = (each.pattern as JsonObject | undefined)?.String;
        const content = each.content;
        if (fused) throw unsupported('Replace after Fuse');
        if (typeof pattern !== 'string' || typeof content !== 'string') throw unsupported(`Replace of ${JSON.stringify(each.pattern)}`);
        steps.push((text) => text.replaceAll(pattern, () => content));
        return;
      }
      case 'Metaspace': {
        const replacement = typeof each.replacement === 'string' ? each.replacement : '\u2581';
        steps.push((text) => text.replaceAll(replacement, ' '));
        if (each.prepend_scheme !== 'never' && each.add_prefix_space !== false) leadingStrip.count = 1;
        return;
      }
      case 'Fuse':
        fused = true;
        return;
      case 'Strip': {
        const {content, start = 0, stop = 0} = each;
        if (!fused || stop !== 0 || typeof content !== 'string' || content.length !== 1 || !Number.isInteger(start)) {
          throw unsupported(JSON.stringify(each));
        }
        leadingStrip.character = content;
        leadingStrip.count = start as number;
        return;
      }
      default:
        throw unsupported(JSON.stringify(each.type) ?? 'of no type');
    }
  };
  add(decoder);
  return {steps, leadingStrip};
}

/** GPT-2's alphabet: printable bytes stand for themselves, the others for characters from U+0100 on (Radford et al. 2019). */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    map.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return map;
})();

const byteLevel: Step = (text, added) => {
  if (added) return text;
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const byte = BYTE_OF_CHARACTER.get(text[index]!);
    // Not of the alphabet: the token stands for itself.
    if (byte === undefined) return text;
    bytes[index] = byte;
  }
  return bytes;
};

const byteFallback: Step = (text) => {
  const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(text);
  return match ? Uint8Array.of(Number.parseInt(match[1]!, 16)) : text;
};
