/** Reads a SentencePiece `tokenizer.model` (sentencepiece_model.proto): the parts that a BPE vocabulary needs. */

import {BinaryReader, WireType} from '@bufbuild/protobuf/wire';

import {FormatError, UnsupportedError} from '../../errors.js';
import type {SentencePieceVocabulary} from './sentencepiece.js';
import {type SpecialTokens, TokenType} from './vocabulary.js';

export interface SentencePieceModel {
  vocabulary: SentencePieceVocabulary;
  special: Pick<SpecialTokens, 'bos' | 'eos' | 'unk'>;
}

const BPE = 2; // TrainerSpec.ModelType

/** Throws FormatError ERR_TOKENIZER for a damaged file, UnsupportedError for another kind of model than BPE. */
export function readSentencePieceModel(path: string, bytes: Uint8Array): SentencePieceModel {
  const vocabulary = {tokens: [] as string[], types: [] as number[], scores: [] as number[], addSpacePrefix: true};
  // Defaults of sentencepiece_model.proto.
  const special = {unk: 0, bos: 1, eos: 2};
  let modelType = 1;
  let charsMap = 0;
  try {
    for (const part of fieldsOf(bytes)) {
      if (part.number === 1) {
        const piece = readPiece(part.bytes);
        vocabulary.tokens.push(piece.text);
        vocabulary.types.push(piece.type);
        vocabulary.scores.push(piece.score);
      } else if (part.number === 2) {
        for (const {number, value} of fieldsOf(part.bytes)) {
          if (number === 3) modelType = value;
          if (number === 40) special.unk = value;
          if (number === 41) special.bos = value;
          if (number === 42) special.eos = value;
        }
      } else if (part.number === 3) {
        for (const {number, value, bytes: table} of fieldsOf(part.bytes)) {
          if (number === 2) charsMap = table.length;
          if (number === 3) vocabulary.addSpacePrefix = value !== 0;
        }
      }
    }
  } catch (cause) {
    throw new FormatError('ERR_TOKENIZER', path, 'is not a SentencePiece model', undefined, {cause});
  }
  if (vocabulary.tokens.length === 0) throw new FormatError('ERR_TOKENIZER', path, 'is a SentencePiece model without pieces');
  /** -1 stands for none. */
  const token = (id: number): number | undefined => {
    if (id < -1 || id >= vocabulary.tokens.length) {
      throw new FormatError('ERR_TOKENIZER', path, `has the special token ${id}, the vocabulary ends at ${vocabulary.tokens.length}`);
    }
    return id === -1 ? undefined : id;
  };
  if (modelType !== BPE) throw new UnsupportedError(`${path}: a SentencePiece model that is not BPE is not read`, 'provide tokenizer.json');
  if (charsMap > 0) throw new UnsupportedError(`${path}: SentencePiece's normalisation tables are not read`, 'provide tokenizer.json');
  return {vocabulary, special: {bos: token(special.bos), eos: token(special.eos), unk: token(special.unk)}};
}

function readPiece(bytes: Uint8Array): {text: string; score: number; type: number} {
  const piece = {text: '', score: 0, type: TokenType.normal as number};
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) piece.text = Buffer.from(field.bytes).toString('utf8');
    if (field.number === 2) piece.score = field.value;
    if (field.number === 3) piece.type = field.value;
  }
  return piece;
}

interface Field {
  number: number;
  /** Of a varint or a 32-bit float; 0 otherwise. */
  value: number;
  /** Of a text or message; empty otherwise. */
  bytes: Uint8Array;
}

const NONE = new Uint8Array();

function* fieldsOf(message: Uint8Array): Generator<Field> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType === WireType.Varint) yield {number, value: reader.int32(), bytes: NONE};
    else if (wireType === WireType.Bit32) yield {number, value: reader.float(), bytes: NONE};
    else if (wireType === WireType.LengthDelimited) yield {number, value: 0, bytes: reader.bytes()};
    else reader.skip(wireType, number);
  }
}
