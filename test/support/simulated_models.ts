/** Language models that take memory of a simulated machine, and answer with what they are and what they were asked. */

import {setImmediate} from 'node:timers/promises';

import type {Backend, BackendListener, BackendRequest, BackendRequestHandle, MemoryPart} from '../../lib/backend/backend.js';
import {TensorrtNodeError} from '../../lib/errors.js';
import type {OpenedModel} from '../../lib/generate/load.js';
import {TextTokenizer} from '../../lib/tokenizer/tokenizer.js';
import {checkTokenizerJson} from '../../lib/tokenizer/tokenizer_file.js';
import type {Memory} from '../../lib/weights/registry/residency.js';
import {byteLevelTokenizer} from './tokenizers.js';

export interface SimulatedModel {
  /** Bytes; of the GPU where it can be suspended. */
  size: number;
  suspendable?: boolean;
  /** Turns of the event loop that a step, a load or a request takes. */
  turns?: () => number;
  /** Called as each begins; what it throws is what it ends with. */
  onStep?: (step: 'load' | 'suspend' | 'resume' | 'request') => void;
}

/** The machine, with all that its models take. */
export class SimulatedMachine {
  held: Memory = {gpu: 0, ram: 0};
  most: Memory = {gpu: 0, ram: 0};
  readonly log: string[] = [];
  readonly backends = new Set<SimulatedBackend>();

  constructor(private readonly models: Readonly<Record<string, SimulatedModel>>) {}

  open(source: string): OpenedModel {
    const name = source.split('/').at(-1)!;
    const model = this.models[name];
    if (model === undefined) throw new TensorrtNodeError('ERR_NOT_FOUND', `${source}: no such file or folder`);
    return {
      name,
      tokenizer: TOKENIZER,
      config: {modelType: 'llama', maxPositionEmbeddings: 512, eosTokenIds: []},
      modelPath: source,
      loadBackend: async () => {
        this.log.push(`load ${name}`);
        await waitTurns(model);
        model.onStep?.('load');
        return new SimulatedBackend(name, model, this);
      },
    };
  }

  take(change: Memory): void {
    this.held = {gpu: this.held.gpu + change.gpu, ram: this.held.ram + change.ram};
    this.most = {gpu: Math.max(this.most.gpu, this.held.gpu), ram: Math.max(this.most.ram, this.held.ram)};
  }
}

const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
const TOKENIZER = new TextTokenizer({path: 't.json', json: checkTokenizerJson(tokenizerJson, 't.json'), config: tokenizerConfig});

/** What a model answers to a prompt, from its first token on. */
export function answerOf(name: string, prompt: ArrayLike<number>, length: number): number[] {
  const seed = [...name].reduce((sum, char) => sum * 31 + char.charCodeAt(0), 7);
  const sum = Array.from(prompt).reduce((total, token, at) => (total + token * (at + 1)) % 65_521, seed % 65_521);
  return Array.from({length}, (_, at) => (sum + at * 7) % 200);
}

export class SimulatedBackend implements Backend {
  readonly name = 'tensorrt';
  readonly description = 'simulated';
  readonly limits = {maxContext: 512, maxBatch: 4};
  readonly vocabSize = TOKENIZER.vocabSize;
  readonly suspend: (() => Promise<void>) | undefined;
  readonly resume: (() => Promise<void>) | undefined;
  readonly sequences = new Set<number>();
  running = 0;
  #nextSequence = 100;
  #where: Memory;

  constructor(
    private readonly model: string,
    private readonly options: SimulatedModel,
    private readonly machine: SimulatedMachine,
  ) {
    const {size, suspendable = true} = options;
    this.#where = suspendable ? {gpu: size, ram: 0} : {gpu: 0, ram: size};
    machine.take(this.#where);
    machine.backends.add(this);
    if (!suspendable) return;
    this.suspend = () => this.#move('suspend', {gpu: 0, ram: size});
    this.resume = () => this.#move('resume', {gpu: size, ram: 0});
  }

  memory(): readonly MemoryPart[] {
    return [
      {what: 'weights', where: 'gpu', bytes: this.#where.gpu},
      {what: 'weights', where: 'pinned', bytes: this.#where.ram},
    ];
  }

  submit({tokens, maxNewTokens, sequence}: BackendRequest, listener: BackendListener): BackendRequestHandle {
    let aborted = false;
    void this.#answer(tokens, maxNewTokens, sequence, () => aborted).then(
      ([answer, reason]) => {
        listener.tokens(answer.map((token) => ({token})));
        listener.finished(reason, {queue: 0, prefill: 0, decode: 0, prefilledTokens: 0});
      },
      (error: Error) => listener.failed(error),
    );
    return {
      consumed() {},
      abort: () => {
        aborted = true;
      },
    };
  }

  createSequence(): number {
    this.sequences.add(++this.#nextSequence);
    return this.#nextSequence;
  }

  forkSequence(): number {
    return this.createSequence();
  }

  disposeSequence(sequence: number): void {
    this.sequences.delete(sequence);
  }

  async score(tokens: Uint32Array): Promise<Float32Array> {
    this.#check();
    return new Float32Array(tokens.length * this.vocabSize).fill(this.options.size);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.machine.log.push(`unload ${this.model}`);
    await waitTurns(this.options);
    this.machine.take({gpu: -this.#where.gpu, ram: -this.#where.ram});
    this.machine.backends.delete(this);
  }

  async #move(step: 'suspend' | 'resume', to: Memory): Promise<void> {
    if (this.running > 0) throw new TensorrtNodeError('ERR_BUSY', 'a request is under way');
    this.machine.log.push(`${step} ${this.model}`);
    await waitTurns(this.options);
    this.options.onStep?.(step);
    // Both are held while it is copied.
    this.machine.take(to);
    this.machine.take({gpu: -this.#where.gpu, ram: -this.#where.ram});
    this.#where = to;
  }

  async #answer(tokens: Uint32Array, length: number, sequence: number | undefined, aborted: () => boolean) {
    this.#check(sequence);
    this.running++;
    try {
      await waitTurns(this.options);
      this.options.onStep?.('request');
      // It is an error of the registry's if it goes while it answers.
      this.#check(sequence);
      const answer = aborted() ? [] : answerOf(this.model, tokens, length);
      return [answer, aborted() ? 'aborted' : 'length'] as const;
    } finally {
      this.running--;
    }
  }

  #check(sequence?: number): void {
    if (!this.machine.backends.has(this)) throw new TensorrtNodeError('ERR_DISPOSED', 'the model was disposed');
    if (this.options.suspendable !== false && this.#where.gpu === 0) throw new TensorrtNodeError('ERR_SUSPENDED', 'the model is suspended');
    if (sequence !== undefined && !this.sequences.has(sequence)) throw new TensorrtNodeError('ERR_DISPOSED', 'there is no such sequence');
  }
}

async function waitTurns({turns}: SimulatedModel): Promise<void> {
  for (let left = turns?.() ?? 1; left > 0; left--) await setImmediate();
}
