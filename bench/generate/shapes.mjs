/**
 * Models of known shapes with random weights, for speed alone: their text means nothing. In fp16, or in blocks of 32 with fp16
 * scales and no offsets, as Q4_0 and Q8_0 are imported. The tokenizer is that of SmolLM2.
 *
 *   node bench/generate/shapes.mjs 8b OUT [BITS]        16 GB, with 4 bits 4.5; 135m: the shape of SmolLM2-135M; tiny
 */

import {randomFillSync} from 'node:crypto';
import {cpSync, existsSync, mkdirSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

import {buildDecoder} from '../../dist/import/graph/decoder.js';
import {byteLength} from '../../dist/import/numeric/blocks.js';
import {DataType} from '../../dist/onnx/data_type.js';
import {writeModel} from '../../dist/onnx/write.js';
import {modelFolder} from '../../scripts/model.mjs';

const COMMON = {
  architecture: 'llama',
  vocabSize: 49152,
  rmsNormEps: 1e-5,
  bosTokenId: 1,
  // Never chosen, but for chance.
  eosTokenIds: [2],
};

export const SHAPES = {
  '135m': {
    ...COMMON,
    hiddenSize: 576,
    intermediateSize: 1536,
    layerCount: 30,
    headCount: 9,
    kvHeadCount: 3,
    headDim: 64,
    maxPositionEmbeddings: 8192,
    ropeTheta: 100000,
    tieWordEmbeddings: true,
  },
  '8b': {
    ...COMMON,
    hiddenSize: 4096,
    intermediateSize: 14336,
    layerCount: 32,
    headCount: 32,
    kvHeadCount: 8,
    headDim: 128,
    maxPositionEmbeddings: 16384,
    ropeTheta: 500000,
    tieWordEmbeddings: false,
  },
  /** For trying a benchmark on the simulator. */
  tiny: {
    ...COMMON,
    hiddenSize: 64,
    intermediateSize: 128,
    layerCount: 2,
    headCount: 2,
    kvHeadCount: 1,
    headDim: 64,
    maxPositionEmbeddings: 8192,
    ropeTheta: 100000,
    tieWordEmbeddings: true,
  },
};

/** By bits of a weight: the type of matrices in the checkpoint that is imported. */
const MATRIX_TYPES = {16: 'F16', 8: 'Q8_0', 4: 'Q4_0'};
export const BITS = Object.keys(MATRIX_TYPES).map(Number);

/** The folder, written unless it is there. */
export async function ensureShape(name, folder, {bits = 16} = {}) {
  if (existsSync(path.join(folder, 'config.json'))) return folder;
  const config = SHAPES[name];
  mkdirSync(folder, {recursive: true});
  const model = buildDecoder(config, tensorsOf(config, MATRIX_TYPES[bits]), {dtype: 'fp16'});
  // Random as they stand, whichever way they lie.
  const [weights, scales] = [randomHalves(64 * 2 ** 20), randomScales(2 ** 20, bits)];
  const codes = randomFillSync(new Uint8Array(bits === 16 ? 0 : 64 * 2 ** 20));
  /** A tied table is two tensors with the bytes of one. */
  const shared = new Map();
  for (const tensor of model.graph.initializer) {
    const was = model.source(tensor);
    const random = tensor.dataType === DataType.UINT8 ? codes : tensor.name.endsWith('.scales') ? scales : weights;
    if (random === weights && tensor.dataType !== DataType.FLOAT16) continue;
    if (!shared.has(was)) shared.set(was, tensor.dims.length === 1 ? ones(was.byteLength) : repeated(random, was.byteLength));
    model.setSource(tensor, shared.get(was));
  }
  await writeModel(model, path.join(folder, 'model.onnx'), {externalData: 'model.onnx_data'});
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(path.join(modelFolder, file), path.join(folder, file));
  // Last: it says that all is there.
  writeFileSync(
    path.join(folder, 'config.json'),
    JSON.stringify({
      model_type: 'llama',
      hidden_size: config.hiddenSize,
      num_hidden_layers: config.layerCount,
      num_attention_heads: config.headCount,
      num_key_value_heads: config.kvHeadCount,
      head_dim: config.headDim,
      vocab_size: config.vocabSize,
      max_position_embeddings: config.maxPositionEmbeddings,
      bos_token_id: config.bosTokenId,
      eos_token_id: config.eosTokenIds,
    }),
  );
  return folder;
}

/** What the graph asks for, without bytes: nobody reads them. */
function tensorsOf({hiddenSize, intermediateSize, headCount, kvHeadCount, headDim, vocabSize, layerCount, tieWordEmbeddings}, matrixType) {
  const tensors = new Map();
  const add = (name, ...shape) => {
    const type = shape.length === 1 ? 'F16' : matrixType;
    const read = () => Promise.reject(new Error(`${name} has no bytes`));
    tensors.set(name, {
      name,
      type,
      shape,
      byteLength: byteLength(
        type,
        shape.reduce((product, size) => product * size, 1),
      ),
      read,
    });
  };
  add('model.embed_tokens.weight', vocabSize, hiddenSize);
  for (let layer = 0; layer < layerCount; layer++) {
    const name = `model.layers.${layer}`;
    add(`${name}.input_layernorm.weight`, hiddenSize);
    add(`${name}.post_attention_layernorm.weight`, hiddenSize);
    add(`${name}.self_attn.q_proj.weight`, headCount * headDim, hiddenSize);
    add(`${name}.self_attn.k_proj.weight`, kvHeadCount * headDim, hiddenSize);
    add(`${name}.self_attn.v_proj.weight`, kvHeadCount * headDim, hiddenSize);
    add(`${name}.self_attn.o_proj.weight`, hiddenSize, headCount * headDim);
    add(`${name}.mlp.gate_proj.weight`, intermediateSize, hiddenSize);
    add(`${name}.mlp.up_proj.weight`, intermediateSize, hiddenSize);
    add(`${name}.mlp.down_proj.weight`, hiddenSize, intermediateSize);
  }
  add('model.norm.weight', hiddenSize);
  if (!tieWordEmbeddings) add('lm_head.weight', vocabSize, hiddenSize);
  return tensors;
}

/** Halves between -1/32 and 1/32: sums of thousands of products stay small. */
function randomHalves(bytes) {
  const halves = new Uint16Array(bytes / 2);
  randomFillSync(new Uint8Array(halves.buffer));
  for (let index = 0; index < halves.length; index++) {
    // Sign and fraction as they are; exponents 2^-9 to 2^-6.
    halves[index] = (halves[index] & 0x83ff) | ((6 + ((halves[index] >> 10) & 3)) << 10);
  }
  return new Uint8Array(halves.buffer);
}

/** Halves above 0 by which random codes spread as far as the halves above: up to 2^-8 for those of 4 bits, 2^-12 for 8. */
function randomScales(bytes, bits) {
  const halves = new Uint16Array(bytes / 2);
  randomFillSync(new Uint8Array(halves.buffer));
  const exponent = bits === 8 ? 2 : 6;
  return new Uint8Array(halves.map((half) => (half & 0x03ff) | (exponent << 10)).buffer);
}

/** Each tensor begins elsewhere in the block. */
let next = 0;
function repeated(block, byteLength) {
  next += 2 * 1_000_003;
  const first = next % block.byteLength;
  return {
    byteLength,
    async *chunks() {
      for (let done = 0; done < byteLength; ) {
        const at = (first + done) % block.byteLength;
        const count = Math.min(block.byteLength - at, byteLength - done);
        yield block.subarray(at, at + count);
        done += count;
      }
    },
  };
}

function ones(byteLength) {
  const bytes = new Uint8Array(new Uint16Array(byteLength / 2).fill(0x3c00).buffer);
  return {
    byteLength,
    async *chunks() {
      yield bytes;
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [name, folder, bits = '16'] = process.argv.slice(2);
  if (SHAPES[name] === undefined || folder === undefined || !BITS.includes(Number(bits))) {
    console.error(`usage: shapes.mjs ${Object.keys(SHAPES).join('|')} OUT [${BITS.join('|')}]`);
    process.exit(2);
  }
  console.log(await ensureShape(name, folder, {bits: Number(bits)}));
}
