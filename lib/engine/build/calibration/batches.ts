/** Feeds the calibrator from an iterable, one batch ahead of what it wants. */

import {OptionError} from '../../../errors.js';
import type {NativeBatchTensor, NativeTensorData, NativeTensorInfo} from '../../../native/engine_addon.js';
import type {OnProgress} from '../../../progress.js';
import {InputCheck} from '../../input_check.js';
import type {Tensor, TensorType} from '../../tensor.js';
import type {Batch, BatchSource} from './batch_source.js';

/** An input as every batch has it. */
export interface ExpectedInput {
  name: string;
  type: TensorType;
  dims: readonly number[];
}

type Given = Readonly<Record<string, Tensor>>;

export class IterableBatches implements BatchSource {
  readonly #iterator: Iterator<Given> | AsyncIterator<Given>;
  readonly #check: InputCheck;
  /** The batch after the one given out, on its way. */
  #ahead: Promise<Batch | null> | undefined;
  #count = 0;
  #ended = false;

  constructor(
    batches: Iterable<Given> | AsyncIterable<Given>,
    readonly expected: readonly ExpectedInput[],
    readonly maxBatches: number,
    readonly onProgress: OnProgress | undefined,
  ) {
    this.#iterator = Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
    this.#check = new InputCheck(
      expected.map(
        ({name, type, dims}): NativeTensorInfo => ({
          name,
          type,
          dims: [...dims],
          mode: 'input',
          location: 'device',
          isShapeTensor: false,
          profiles: [],
        }),
      ),
    );
  }

  async next(): Promise<Batch | null> {
    const batch = await (this.#ahead ?? this.#pull());
    this.#ahead = undefined;
    if (batch === null) return null;
    this.#ahead = this.#pull();
    // Whoever asks for it hears of its failure; a build that ends before then does not care.
    this.#ahead.catch(() => {});
    return batch;
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    // Not waited for: a generator that is waiting for something answers only after that.
    void Promise.resolve()
      .then(() => this.#iterator.return?.())
      .catch(() => {});
  }

  async #pull(): Promise<Batch | null> {
    if (this.#ended) return null;
    if (this.#count === this.maxBatches) {
      await this.close();
      return null;
    }
    const {done, value} = await this.#iterator.next();
    if (done) {
      this.#ended = true;
      if (this.#count === 0) throw new OptionError('calibration.batches', 'at least one batch', []);
      return null;
    }
    const batch = this.#checked(value);
    this.#count++;
    this.onProgress?.({phase: 'calibrate', done: this.#count, unit: 'batches'});
    return batch;
  }

  #checked(given: Given): Batch {
    try {
      const tensors = this.#check.tensors(given);
      return Object.fromEntries(tensors.map((tensor, index) => [this.expected[index]!.name, alone(tensor)]));
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      // 'inputs.x' of the check is one of this batch's.
      const option = error.option.replace(/^inputs/, `calibration.batches[${this.#count}]`);
      throw new OptionError(option, error.allowed, error.value);
    }
  }
}

/** In a buffer of its own: a message to another process carries the whole of it, such as all samples of a file. */
function alone({buffer, byteOffset, byteLength, dims}: NativeTensorData): NativeBatchTensor {
  const own = byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
  return {buffer: own, byteOffset: 0, byteLength, dims: [...dims]};
}
