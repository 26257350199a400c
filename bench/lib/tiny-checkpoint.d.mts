/** Types of tiny-checkpoint.mjs, for the tests. */

export function writeTinyCheckpoint(folder: string, config: object, seed: number): string;
export const TINY_LLAMA: {vocab_size: number; max_position_embeddings: number; eos_token_id: number; [name: string]: unknown};
