/** Models quantised by every method and in every format: what is in the files, and what ONNX Runtime computes with it. */

import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';

import * as ort from 'onnxruntime-node';
import {FormatError, importModel, loadModel, OptionError, type Progress, type QuantizeOptions, quantizeModel} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import type {CheckpointTensor, DecoderConfig} from '../../lib/import/checkpoint.js';
import {DataType} from '../../lib/onnx/data_type.js';
import {GraphBuilder, int} from '../../lib/onnx/graph_builder.js';
import {readModel} from '../../lib/onnx/read.js';
import {writeModel} from '../../lib/onnx/write.js';
import {DecoderSession} from '../support/decoder_session.js';
import {type ExportOptions, exportedDecoder} from '../support/exported_decoder.js';
import {decodeMatrices} from '../support/quantized_weights.js';
import {randomTensors, tensorOf, tinyConfig} from '../support/random_checkpoint.js';
import {ReferenceDecoder} from '../support/reference_decoder.js';
import {TOKENIZER, writeFolder} from '../support/safetensors_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {byteLevelTokenizer} from '../support/tokenizers.js';
import {projectFile, run} from './helpers/child.js';
import {command} from './helpers/command.js';

const folder = temporaryFolder();
const PROMPT = [3, 14, 15, 9, 26, 5, 35, 8];
const CALIBRATION = {samples: 4, sequenceLength: 64, threads: 2};

const untied = tinyConfig({headDim: 64, vocabSize: 272, maxPositionEmbeddings: 256});
const tied = {...untied, tieWordEmbeddings: true};
const tensorsOf = new Map([untied, tied].map((config) => [config, randomTensors(config)]));

beforeAll(async () => {
  const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
  for (const [config, name] of [
    [untied, 'untied'],
    [tied, 'tied'],
  ] as const) {
    await writeFolder(folder(name), config, tensorsOf.get(config)!, {tokenizer: tokenizerJson, tokenizerConfig});
  }
});

/** Logits after each token of PROMPT, as ONNX Runtime computes them. */
async function logitsOf(
  path: string,
  {layerCount, kvHeadCount, headDim, vocabSize}: DecoderConfig,
  tokens: readonly number[] = PROMPT,
): Promise<Float32Array[]> {
  // More would make products of 8-bit numbers of those with int8, and round activations for them.
  const session = await ort.InferenceSession.create(`${path}/model.onnx`, {graphOptimizationLevel: 'basic'});
  const feeds: Record<string, ort.Tensor> = {
    input_ids: new ort.Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
    attention_mask: new ort.Tensor('int64', new BigInt64Array(tokens.length).fill(1n), [1, tokens.length]),
  };
  for (let layer = 0; layer < layerCount; layer++) {
    for (const part of ['key', 'value']) {
      feeds[`past_key_values.${layer}.${part}`] = new ort.Tensor('float32', new Float32Array(), [1, kvHeadCount, 0, headDim]);
    }
  }
  const {logits} = await session.run(feeds, ['logits']);
  await session.release();
  return tokens.map((_, at) => (logits!.data as Float32Array).subarray(at * vocabSize, (at + 1) * vocabSize));
}

/** The checkpoint with its matrices as the files of `path` have them; products that were packed are taken apart. */
async function quantizedTensors(path: string, config: DecoderConfig): Promise<Map<string, CheckpointTensor>> {
  const tensors = new Map(tensorsOf.get(config)!);
  const put = (name: string, values: Float32Array, inner: number) => {
    const bytes = new Uint8Array(values.slice().buffer);
    tensors.set(name, tensorOf(name, 'F32', [values.length / inner, inner], bytes));
  };
  for (const [name, {values, inner}] of await decodeMatrices(`${path}/model.onnx`)) {
    const packed = {qkv_proj: ['q_proj', 'k_proj', 'v_proj'], gate_up_proj: ['gate_proj', 'up_proj']};
    const [suffix, parts] = Object.entries(packed).find(([each]) => name.endsWith(each)) ?? ['', ['']];
    let at = 0;
    for (const part of parts) {
      const target = `${name.slice(0, name.length - suffix.length)}${part}.weight`;
      const original = tensors.get(target)!;
      const count = original.shape.reduce((product, size) => product * size, 1);
      put(target, values.subarray(at, at + count), inner);
      at += count;
    }
    expect(at, name).toBe(values.length);
  }
  return tensors;
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + (value - b[at]!) ** 2, 0);
}

function distance(a: readonly Float32Array[] | readonly (readonly number[])[], b: readonly ArrayLike<number>[]): number {
  return Math.max(...a.flatMap((row, at) => Array.from(row, (value, token) => Math.abs(value - b[at]![token]!))));
}

async function forward(config: DecoderConfig, tensors: ReadonlyMap<string, CheckpointTensor>, tokens: readonly number[] = PROMPT) {
  return (await ReferenceDecoder.create(config, tensors)).forward([...tokens]);
}

const FORMATS: readonly [name: string, options: QuantizeOptions, operator: string, largestError: number][] = [
  ['4 bits in blocks of 32', {}, 'MatMulNBits', 0.12],
  ['4 bits, symmetric', {symmetric: true}, 'MatMulNBits', 0.16],
  ['4 bits in blocks of 64, which do not fill a row', {block: 64}, 'MatMulNBits', 0.16],
  ['4 bits in blocks longer than a row', {block: 128}, 'MatMulNBits', 0.16],
  ['8 bits', {bits: 8}, 'MatMulNBits', 0.01],
  ['8 bits with zero points', {bits: 8, symmetric: false, block: 64}, 'MatMulNBits', 0.01],
  ['8 bits by channel', {bits: 8, block: 'channel'}, 'int8', 0.01],
  ['fp8', {type: 'fp8'}, 'float8', 0.05],
];

describe('quantizeModel', () => {
  it.each(
    FORMATS.flatMap((format) => [
      [format[0], 'untied', untied, format] as const,
      [`${format[0]} with a tied embedding`, 'tied', tied, format] as const,
    ]),
  )('writes %s, and ONNX Runtime computes what they stand for', async (_, source, config, [name, options, operator, largest]) => {
    const out = folder(`${source}-${name}`);
    const result = await quantizeModel(folder(source), out, options);
    const matrices = await decodeMatrices(`${out}/model.onnx`);
    const blocks = source === 'tied' ? [...matrices].filter(([key]) => key === 'model.embed_tokens' || key === 'lm_head') : [];
    for (const [key, matrix] of matrices) {
      if (!blocks.some(([each]) => each === key)) expect(matrix.operator, key).toBe(operator);
    }
    // Four of each layer, and the head.
    expect(result.quantized.matrices).toBe(9);

    const tensors = await quantizedTensors(out, config);
    for (const [key, tensor] of tensorsOf.get(config)!) {
      const [before, after] = await Promise.all([tensor.read(), tensors.get(key)!.read()]);
      const [a, b] = [before, after].map((bytes) => new Float32Array(bytes.buffer)) as [Float32Array, Float32Array];
      const error = Math.sqrt(a.reduce((sum, value, at) => sum + (value - b[at]!) ** 2, 0) / a.reduce((sum, value) => sum + value ** 2, 0));
      expect(error, key).toBeLessThan(largest);
      if (tensor.shape.length === 1) expect(error, key).toBe(0);
      // Embeddings of their own are read by the row, and stay.
      if (key === 'model.embed_tokens.weight' && config === untied) expect(error).toBe(0);
    }
    expect(distance(await logitsOf(out, config), await forward(config, tensors))).toBeLessThan(2e-5);
  });

  it.each(['rtn', 'awq', 'gptq', 'awq+gptq'] as const)(
    'makes a folder with %s that loads, answers and says how it was made',
    async (method) => {
      const out = folder(`loads-${method}`);
      const phases = new Set<string>();
      const onProgress = ({phase, done, total}: Progress) => {
        phases.add(phase);
        expect(done).toBeLessThanOrEqual(total!);
      };
      const options = {method, onProgress, ...(method === 'rtn' ? {} : CALIBRATION)};
      const result = await quantizeModel(folder('untied'), out, options);
      expect(result).toMatchObject({path: out, method, kept: ['model.embed_tokens'], bytes: {after: expect.any(Number)}});
      expect([...phases]).toEqual(method === 'rtn' ? ['quantize'] : ['calibrate', ...(phases.has('quantize') ? ['quantize'] : [])]);
      expect((await readdir(out)).sort()).toEqual(
        ['config.json', 'genai_config.json', 'model.onnx', 'model.onnx_data', 'tokenizer.json', 'tokenizer_config.json'].sort(),
      );
      const config = JSON.parse(await readFile(`${out}/config.json`, 'utf8'));
      expect(config.tensorrt_node.quantization).toMatchObject({method, bits: 4, block: 32});
      await using model = await loadModel(out, {backend: 'cpu', threads: 1});
      const {usage} = await model.generateText('the', {maxNewTokens: 4, temperature: 0, stop: []});
      expect(usage.completionTokens).toBeGreaterThan(0);
    },
  );

  it.each(['awq', 'gptq', 'awq+gptq'] as const)('is nearer to the original with %s than rounding is', async (method) => {
    // As in trained models, some channels are much larger than others.
    const tensors = new Map(tensorsOf.get(untied)!);
    for (const [name, tensor] of tensors) {
      if (!name.endsWith('layernorm.weight')) continue;
      const values = new Float32Array((await tensor.read()).buffer).map((value, at) => (at % 16 === 3 ? 8 * value : value));
      tensors.set(name, tensorOf(name, 'F32', tensor.shape, new Uint8Array(values.buffer)));
    }
    const source = folder(`outliers-${method}`);
    const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
    await writeFolder(source, untied, tensors, {tokenizer: tokenizerJson, tokenizerConfig});
    // Of the bytes that the calibration text is made of: the embeddings of others say nothing to a random model.
    const tokens = [...Buffer.from('and so it was said that all of them would come')];
    const expected = await forward(untied, tensors, tokens);
    const error = async (path: string) => {
      const actual = await logitsOf(path, untied, tokens);
      return actual.reduce((sum, row, at) => sum + squaredDistance(row, Float32Array.from(expected[at]!)), 0);
    };
    const calibration = {samples: 32, sequenceLength: 64, threads: 2};
    await quantizeModel(source, folder(`near-${method}`), {method, symmetric: true, ...calibration});
    await quantizeModel(source, folder(`near-rtn-${method}`), {symmetric: true});
    expect(await error(folder(`near-${method}`))).toBeLessThan(0.9 * (await error(folder(`near-rtn-${method}`))));
  });

  it('takes the folder that an import makes, and what it made itself', async () => {
    await importModel(folder('tied'), folder('imported'));
    await quantizeModel(folder('tied'), folder('from-checkpoint'), {bits: 8});
    await quantizeModel(folder('imported'), folder('from-onnx'), {bits: 8});
    const [a, b] = await Promise.all(['from-checkpoint', 'from-onnx'].map((name) => decodeMatrices(folder(name, 'model.onnx'))));
    expect([...a!.keys()].sort()).toEqual([...b!.keys()].sort());
    for (const [name, {values}] of a!) expect(b!.get(name)!.values, name).toEqual(values);
    // 8 bits to 4, by way of the numbers that they stand for.
    await quantizeModel(folder('from-onnx'), folder('again'), {method: 'gptq', ...CALIBRATION});
    const tensors = await quantizedTensors(folder('again'), tied);
    expect(distance(await logitsOf(folder('again'), tied), await forward(tied, tensors))).toBeLessThan(2e-5);
    expect((await readdir(folder('again'))).includes('tokenizer.json')).toBe(true);
  });

  it.each<[string, ExportOptions]>([
    ['plain', {style: 'plain'}],
    ['plain, in halves', {style: 'plain', half: true, whereMask: true}],
    ["plain, with Gemma's norms", {style: 'plain', shiftedNorms: true, postNorms: true, logitsCap: 20, embeddingScale: 4}],
    ['genai', {style: 'genai', biases: true}],
    ['genai, quantised before', {style: 'genai', quantized: true, packed: true, rotatingAttention: true}],
  ])('calibrates exports of others: %s', async (name, style) => {
    const source = folder(`export-${name}`);
    await mkdir(source);
    await writeModel(exportedDecoder({...style, layers: 3}), `${source}/model.onnx`, {externalData: 'model.onnx_data'});
    await writeFile(`${source}/config.json`, '{"model_type": "llama"}');
    await writeFile(`${source}/tokenizer.json`, JSON.stringify(TOKENIZER));
    await writeFile(folder('letters.txt'), Array.from({length: 1200}, (_, at) => 'the'[(at * at + (at >> 3)) % 3]).join(''));
    const options = {calibration: folder('letters.txt'), samples: 8, sequenceLength: 32, threads: 2, block: 32} as const;
    for (const method of ['rtn', 'gptq', 'awq+gptq'] as const) {
      const {quantized} = await quantizeModel(source, folder(`export-${name}-${method}`), {method, ...(method === 'rtn' ? {} : options)});
      expect(quantized.matrices).toBeGreaterThan(9);
      expect((await readdir(folder(`export-${name}-${method}`))).sort()).toEqual((await readdir(source)).sort());
    }
    const [expected, ...others] = await Promise.all(
      ['', '-rtn', '-gptq', '-awq+gptq'].map(async (suffix) => {
        await using session = await DecoderSession.create(await readModel(`${source}${suffix}/model.onnx`), [2, 16]);
        return await session.step([1, 2, 3, 1, 3, 3, 2, 1, 1, 3, 4, 2]);
      }),
    );
    const errors = others.map((rows) => rows.reduce((sum, row, at) => sum + squaredDistance(row, expected![at]!), 0));
    expect(errors[0]).toBeGreaterThan(0);
    for (const error of errors.slice(1)) expect(error).toBeLessThan(1.1 * errors[0]!);
  });

  it('quantises an ONNX file that is no language model, biases and all', async () => {
    const builder = GraphBuilder.create({name: 'encoder', opsets: {'': 21}});
    const random = (count: number) => Float32Array.from({length: count}, (_, at) => Math.sin(at * 12.9898) * 0.2);
    const bytes = (values: Float32Array) => new Uint8Array(values.buffer);
    const x = builder.input('x', DataType.FLOAT, ['rows', 48]);
    const first = builder.initializer('first', DataType.FLOAT, [48, 40], bytes(random(48 * 40)));
    const second = builder.initializer('second', DataType.FLOAT, [24, 40], bytes(random(24 * 40)));
    const bias = builder.initializer('bias', DataType.FLOAT, [24], bytes(random(24)));
    const hidden = builder.op('MatMul', [x, first], {name: '/encoder/first/MatMul'});
    builder.op('Gemm', [hidden, second, bias], {name: '/encoder/second/Gemm', output: 'y', attributes: {transB: int(1)}});
    builder.output('y', DataType.FLOAT, ['rows', 24]);
    await mkdir(folder('encoder'));
    await writeModel(builder.build(), folder('encoder', 'encoder.onnx'));
    const options = {bits: 8, keep: ['*.first'], block: 32} as const;
    const result = await quantizeModel(folder('encoder', 'encoder.onnx'), folder('encoder-out'), options);
    expect(result).toMatchObject({kept: ['encoder.first'], quantized: {matrices: 1, weights: 960}});
    const outputs = await Promise.all(
      [folder('encoder', 'encoder.onnx'), folder('encoder-out', 'model.onnx')].map(async (path) => {
        const session = await ort.InferenceSession.create(path);
        const {y} = await session.run({x: new ort.Tensor('float32', random(3 * 48), [3, 48])});
        return y!.data as Float32Array;
      }),
    );
    expect(distance([outputs[0]!], [outputs[1]!])).toBeLessThan(0.02);
    await expect(quantizeModel(folder('encoder', 'encoder.onnx'), folder('no'), {method: 'gptq'})).rejects.toThrow(/method/);
    const unknown = quantizeModel(folder('encoder', 'encoder.onnx'), folder('no'), {sensitive: true});
    await expect(unknown).rejects.toThrow(/sensitive must be patterns/);
  });

  it('keeps layers by pattern, parts of packed ones too, and heads in more bits', async () => {
    const options = {keep: ['*.down_proj', 'model.layers.1.*.q_proj'], headBits: 8, embeddingBits: 8} as const;
    const {kept} = await quantizeModel(folder('untied'), folder('keep'), options);
    expect([...kept].sort()).toEqual(
      ['model.layers.0.mlp.down_proj', 'model.layers.1.mlp.down_proj', 'model.layers.1.self_attn.qkv_proj'].sort(),
    );
    const tensors = await quantizedTensors(folder('keep'), untied);
    expect(distance(await logitsOf(folder('keep'), untied), await forward(untied, tensors))).toBeLessThan(2e-5);
    await expect(quantizeModel(folder('untied'), folder('no'), {keep: ['*.nothing']})).rejects.toThrow(/keep must be patterns/);
  });

  it.each([
    [true, ['0.self_attn.qkv_proj', '0.self_attn.o_proj', '1.self_attn.qkv_proj', '1.self_attn.o_proj', '1.mlp.down_proj']],
    [
      ['*.0.*.v_proj', '*.up_proj'],
      ['0.self_attn.qkv_proj', '0.mlp.gate_up_proj', '1.mlp.gate_up_proj'],
    ],
  ] as const)('gives sensitive layers 8 bits: %j', async (sensitive, expected) => {
    const plain = await quantizeModel(folder('untied'), folder('plain'), {overwrite: true});
    const {bitsPerWeight, kept} = await quantizeModel(folder('untied'), folder('sensitive'), {sensitive, overwrite: true});
    const {tensorrt_node: made} = JSON.parse(await readFile(folder('sensitive', 'config.json'), 'utf8'));
    expect(JSON.stringify(made)).toContain(JSON.stringify(expected.map((name) => `model.layers.${name}`)));
    expect(kept).toEqual(plain.kept);
    expect(bitsPerWeight).toBeGreaterThan(plain.bitsPerWeight + 0.5);
    const original = await forward(untied, tensorsOf.get(untied)!);
    const [before, after] = await Promise.all(['plain', 'sensitive'].map((name) => logitsOf(folder(name), untied)));
    expect(distance(after!, original)).toBeLessThan(distance(before!, original));
    const tensors = await quantizedTensors(folder('sensitive'), untied);
    expect(distance(after!, await forward(untied, tensors))).toBeLessThan(2e-5);
    await expect(quantizeModel(folder('untied'), folder('no'), {sensitive: ['*.nothing']})).rejects.toThrow(/sensitive must be patterns/);
  });

  it('leaves sensitive layers as they are among those of 8 bits', async () => {
    const expected = ['0.self_attn.qkv_proj', '0.self_attn.o_proj', '1.self_attn.qkv_proj', '1.self_attn.o_proj', '1.mlp.down_proj'];
    const plain = await quantizeModel(folder('untied'), folder('plain-8'), {bits: 8});
    const {kept} = await quantizeModel(folder('untied'), folder('sensitive-8'), {bits: 8, sensitive: true});
    expect([...kept].sort()).toEqual([...plain.kept, ...expected.map((name) => `model.layers.${name}`)].sort());
    const original = await forward(untied, tensorsOf.get(untied)!);
    const [before, after] = await Promise.all(['plain-8', 'sensitive-8'].map((name) => logitsOf(folder(name), untied)));
    expect(distance(after!, original)).toBeLessThan(distance(before!, original));
  });

  it.each<[string, QuantizeOptions | Record<string, unknown>]>([
    ['bits', {bits: 3}],
    ['sensitive', {sensitive: 'all'}],
    ['block', {block: 48}],
    ['block', {block: 'channel'}],
    ['block', {type: 'fp8', block: 32}],
    ['bits', {type: 'fp8', bits: 4}],
    ['symmetric', {bits: 8, block: 'channel', symmetric: false}],
    ['method', {method: 'hqq'}],
    ['keep', {keep: 'lm_head'}],
    ['headBits', {headBits: 5}],
    ['samples', {samples: 4}],
    ['damping', {method: 'awq', damping: 0.1}],
    ['damping', {method: 'gptq', damping: 2}],
    ['threads', {threads: 0}],
    ['options.blockSize', {blockSize: 32}],
    ['calibration', {method: 'gptq', sequenceLength: 100_000}],
    ['signal', {signal: 'now'}],
  ])('refuses a wrong %s', async (option, options) => {
    const error = await quantizeModel(folder('untied'), folder('refused'), options as QuantizeOptions).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OptionError);
    expect((error as OptionError).option).toBe(option);
    expect(await readdir(folder())).not.toContain('refused');
  });

  it('names the tensor of a source whose numbers are none', async () => {
    const tensors = new Map(tensorsOf.get(untied)!);
    const name = 'model.layers.1.mlp.down_proj.weight';
    const values = new Float32Array((await tensors.get(name)!.read()).buffer);
    values[100] = Number.NaN;
    tensors.set(name, tensorOf(name, 'F32', [64, 96], new Uint8Array(values.buffer)));
    const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
    await writeFolder(folder('nan'), untied, tensors, {tokenizer: tokenizerJson, tokenizerConfig});
    for (const method of ['rtn', 'gptq'] as const) {
      const options = method === 'rtn' ? {} : {method, ...CALIBRATION};
      const error = await quantizeModel(folder('nan'), folder('nan-out'), options).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(FormatError);
      expect((error as Error).message).toMatch(/model\.layers\.1\.mlp\.down_proj': row 1 holds a number that is not finite/);
    }
    await expect(quantizeModel(folder('absent'), folder('nan-out'))).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
    expect(await readdir(folder())).not.toContain('nan-out');
  });

  it('leaves nothing behind whenever it is aborted', async () => {
    await mkdir(folder('aborted'));
    for (const method of ['rtn', 'gptq', 'awq'] as const) {
      for (let after = 0; ; after++) {
        const controller = new AbortController();
        let heard = 0;
        const onProgress = () => {
          if (heard++ === after) controller.abort();
        };
        const options = {method, signal: controller.signal, onProgress, ...(method === 'rtn' ? {} : {...CALIBRATION, samples: 1})};
        const outcome = await quantizeModel(folder('untied'), folder('aborted', 'out'), options).catch((thrown: Error) => thrown.name);
        if (heard <= after) break;
        expect(outcome).toBe('AbortError');
        expect(await readdir(folder('aborted'))).toEqual([]);
      }
      expect(await readdir(folder('aborted', 'out'))).toContain('model.onnx');
      await rm(folder('aborted', 'out'), {recursive: true});
    }
  });

  it('says that the disk is full, and leaves nothing on it', async () => {
    await mkdir(folder('full'));
    for (const method of ['rtn', 'gptq']) {
      // Files may have 16 KiB, as on a disk that has no more.
      const {status, stdout} = await run('sh', [
        '-c',
        'ulimit -f 32; exec "$0" "$@"',
        process.execPath,
        '--input-type=module',
        '--eval',
        `import {quantizeModel} from ${JSON.stringify(projectFile('dist/index.js'))};
         const options = ${JSON.stringify(method === 'rtn' ? {} : {method, ...CALIBRATION})};
         process.on('SIGXFSZ', () => {});
         console.log((await quantizeModel(${JSON.stringify(folder('untied'))}, ${JSON.stringify(folder('full', 'out'))}, options).catch((error) => error)).code);`,
      ]);
      expect({status, stdout}).toEqual({status: 0, stdout: 'EFBIG\n'});
      expect(await readdir(folder('full'))).toEqual([]);
    }
  });
});

describe('tensorrt-node quantize', () => {
  it('writes a folder, a line for people, and figures as JSON', async () => {
    const plain = await command(['quantize', folder('untied'), folder('by-command'), '--bits', '8', '--block', '64', '--keep', 'lm_head']);
    expect(plain).toMatchObject({code: 0, stdout: ''});
    expect(plain.stderr).toMatch(/^quantize: .* in .*\nwrote .*by-command: .* to .*, 8\.\d\d bits a weight, in .*\n$/);
    const again = ['quantize', folder('untied'), folder('by-command'), '--method', 'gptq', '--samples', '2', '--sequence-length', '32'];
    expect(await command(again)).toMatchObject({code: 2, stderr: expect.stringContaining('overwrite')});
    const json = await command([...again, '--overwrite', '--act-order', '--json']);
    expect(json.code).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({
      method: 'gptq',
      bytes: {before: expect.any(Number), after: expect.any(Number)},
      milliseconds: {calibrate: expect.any(Number), quantize: expect.any(Number)},
    });
  });

  it.each([
    [['--bits', '5'], 2, 'bits must be 4 or 8'],
    [['--sensitive', 'nothing,*.q_proj'], 2, 'sensitive must be patterns of layers there are'],
    [['--block', '31'], 2, 'Allowed choices are 32, 64, 128, channel'],
    [['--method', 'magic'], 2, 'Allowed choices are rtn, awq, gptq, awq+gptq'],
    [['--samples', '4'], 2, "samples must be left out with method 'rtn'"],
    [['--method', 'awq', '--calibration', '/nowhere.txt'], 1, '/nowhere.txt: cannot be read'],
  ] as const)('%j ends with %d', async (args, code, text) => {
    expect(await command(['quantize', folder('untied'), folder('no'), ...args])).toMatchObject({
      code,
      stderr: expect.stringContaining(text),
    });
    expect(await readdir(folder())).not.toContain('no');
  });
});
