/** llama.cpp's tensor names to Hugging Face's (gguf-py/gguf/tensor_mapping.py, the architectures read here). */

const OUTER = new Map(
  Object.entries({
    token_embd: 'model.embed_tokens',
    output_norm: 'model.norm',
    output: 'lm_head',
  }),
);

const IN_BLOCK = new Map(
  Object.entries({
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_output: 'self_attn.o_proj',
    attn_q_norm: 'self_attn.q_norm',
    attn_k_norm: 'self_attn.k_norm',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
  }),
);

/** `blk.0.attn_q.weight` to `model.layers.0.self_attn.q_proj.weight`; undefined for a name that is not known. */
export function huggingFaceName(name: string): string | undefined {
  const inBlock = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name);
  if (inBlock) {
    const part = IN_BLOCK.get(inBlock[2]!);
    return part && `model.layers.${Number(inBlock[1])}.${part}.${inBlock[3]}`;
  }
  const outer = /^(\w+)\.(weight|bias)$/.exec(name);
  const part = outer && OUTER.get(outer[1]!);
  return part ? `${part}.${outer[2]}` : undefined;
}
