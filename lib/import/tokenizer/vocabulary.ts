/** A vocabulary as SentencePiece models and GGUF files hold it: pieces with types and scores, by token id. */

/** Kinds of token; the numbers are those of both formats (`ModelProto.SentencePiece.Type`, `llama_token_type`). */
export const TokenType = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

export interface Vocabulary {
  /** By token id. */
  tokens: readonly string[];
  /** By token id; `TokenType`. */
  types: ArrayLike<number>;
}

/** Which tokens have a part to play, and what is put around a text. */
export interface SpecialTokens {
  bos?: number;
  eos?: number;
  unk?: number;
  pad?: number;
  addBos: boolean;
  addEos: boolean;
}

export interface AddedToken {
  id: number;
  content: string;
  single_word: false;
  lstrip: false;
  rstrip: false;
  normalized: false;
  special: boolean;
}

/** tokenizer.json's `added_tokens`: what is matched in the raw text before anything else. */
export function addedTokens({tokens, types}: Vocabulary): AddedToken[] {
  const added: AddedToken[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id];
    const special = type === TokenType.control || type === TokenType.unknown;
    if (content === '' || (!special && type !== TokenType.userDefined)) continue;
    added.push({id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special});
  }
  return added;
}

/** tokenizer.json's `post_processor` that adds the tokens around a text; null for none. */
export function postProcessor({tokens}: Vocabulary, {bos, eos, addBos, addEos}: SpecialTokens): object | null {
  const before = addBos && bos !== undefined ? [bos] : [];
  const after = addEos && eos !== undefined ? [eos] : [];
  if (before.length + after.length === 0) return null;
  const around = (sequence: string, typeId: number) => [
    ...before.map((id) => ({SpecialToken: {id: tokens[id], type_id: typeId}})),
    {Sequence: {id: sequence, type_id: typeId}},
    ...after.map((id) => ({SpecialToken: {id: tokens[id], type_id: typeId}})),
  ];
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries([...before, ...after].map((id) => [tokens[id], {id: tokens[id], ids: [id], tokens: [tokens[id]]}])),
  };
}

/** tokenizer_config.json's fields that a rebuilt tokenizer has. */
export function tokenizerConfig({tokens}: Vocabulary, special: SpecialTokens): Record<string, unknown> {
  const token = (id: number | undefined) => (id === undefined ? undefined : tokens[id]);
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: token(special.bos),
    eos_token: token(special.eos),
    unk_token: token(special.unk),
    pad_token: token(special.pad),
    add_bos_token: special.addBos,
    add_eos_token: special.addEos,
    clean_up_tokenization_spaces: false,
  };
}
