/** The tensors of a checkpoint as the graph asks for them: present, of the right shape, each used. */

import {FormatError, UnsupportedError} from '../../errors.js';
import type {CheckpointTensor} from '../checkpoint.js';
import {BLOCKS, byteLength} from '../numeric/blocks.js';

/** Tensors that hold nothing the config does not say. */
const REDUNDANT = /\.rotary_emb\.inv_freq$/;

export class Weights {
  readonly #used = new Set<string>();

  /** `label` names the checkpoint in errors. */
  constructor(
    readonly tensors: ReadonlyMap<string, CheckpointTensor>,
    readonly label: string,
  ) {}

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  /** Throws FormatError (ERR_CONFIG) if the tensor is missing or of another shape than the config asks for. */
  get(name: string, shape: readonly number[]): CheckpointTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new FormatError('ERR_CONFIG', this.label, `tensor '${name}' is missing`);
    this.#used.add(name);
    if (tensor.shape.length !== shape.length || tensor.shape.some((dim, axis) => dim !== shape[axis])) {
      throw new FormatError(
        'ERR_CONFIG',
        this.label,
        `tensor '${name}' has shape [${tensor.shape.join(', ')}], the config asks for [${shape.join(', ')}]`,
      );
    }
    const perBlock = BLOCKS[tensor.type].elements;
    const row = shape.at(-1)!;
    if (row % perBlock !== 0) {
      throw new FormatError(
        'ERR_CONFIG',
        this.label,
        `tensor '${name}' has rows of ${row}, not whole blocks of ${perBlock} as ${tensor.type} needs`,
      );
    }
    const bytes = byteLength(
      tensor.type,
      shape.reduce((product, dim) => product * dim, 1),
    );
    if (tensor.byteLength !== bytes) {
      throw new FormatError('ERR_CONFIG', this.label, `tensor '${name}' has ${tensor.byteLength} bytes where its shape needs ${bytes}`);
    }
    return tensor;
  }

  /** Says that leaving `name` out is no mistake. */
  ignore(name: string): void {
    this.#used.add(name);
  }

  /** Throws UnsupportedError if a tensor was not used: the model would not be the checkpoint's. */
  refuseUnused(): void {
    const unused = [...this.tensors.keys()].filter((name) => !this.#used.has(name) && !REDUNDANT.test(name));
    if (unused.length === 0) return;
    const more = unused.length > 1 ? ` and ${unused.length - 1} more` : '';
    throw new UnsupportedError(`${this.label}: tensor '${unused[0]}'${more} has no place in this architecture`);
  }
}
