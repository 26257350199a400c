/** Several language models in one service, which share the memory that they are given. */

import {basename, resolve} from 'node:path';

import {AbortError, OptionError, TensorrtNodeError, throwIfAborted} from '../../errors.js';
import {checkLoadOptions, type LoadOptions, type OpenedModel, openModel} from '../../generate/load.js';
import {LanguageModel} from '../../generate/model.js';
import {observed} from '../../observers.js';
import {onAbort} from '../../on_abort.js';
import {noOthers, object} from '../../options.js';
import {DoesNotFitError} from '../does_not_fit.js';
import {formatMemory} from '../format_memory.js';
import {estimateNeeds} from './estimate.js';
import {ModelLease} from './lease.js';
import {
  type AcquireOptions,
  type BudgetOptions,
  type CheckedRegistryOptions,
  checkAcquireOptions,
  checkBudget,
  type RegisteredModelOptions,
} from './options.js';
import {type Decision, type Memory, type ModelState, type Needs, Residency, type Ticket} from './residency.js';
import {ResidentModel} from './resident_model.js';
import {SharedBackend, type Use} from './shared_backend.js';

export interface RegisteredModel {
  name: string;
  source: string;
  state: ModelState;
  /** Bytes that it holds now. */
  memory: Memory;
  /** Requests and leases that have it now, and that wait for it. */
  users: number;
  waiting: number;
}

/** What loads models, and says how much there is to load to: others in tests. */
export interface RegistryHost {
  open(source: string, options: LoadOptions): Promise<OpenedModel>;
  estimate(source: string, modelPath: string, options: LoadOptions): Promise<Needs>;
  /** The budgets where none were given. */
  memory(device: number): Memory;
  now(): number;
}

/** A model, under one name or several: the same folder with the same options is loaded once. */
interface Entry {
  readonly key: string;
  readonly source: string;
  readonly options: LoadOptions;
  readonly expected: {gpu: number | undefined; ram: number | undefined};
  readonly names: Set<string>;
  /** Those who may still ask for it: leases, models and sessions that are reachable. */
  holders: number;
  opened: Promise<Opened> | undefined;
  resident: ResidentModel | undefined;
  /** The last error of a kind that no request may get over. */
  broken: boolean;
}

interface Opened {
  model: OpenedModel;
  resident: ResidentModel;
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

/** A limit of the machine's, such as a control group's, may be changed while models serve. */
const BUDGET_INTERVAL_MS = 1000;
const NO_ROOM = new Set(['ERR_OUT_OF_MEMORY', 'ERR_DOES_NOT_FIT']);
/** After these a backend may answer nothing any more. */
const FATAL = new Set(['ERR_BACKEND', 'ERR_CUDA', 'ERR_TENSORRT']);

export const DEFAULT_HOST: Pick<RegistryHost, 'open' | 'estimate' | 'now'> = {
  open: openModel,
  estimate: estimateNeeds,
  now: () => performance.now(),
};

export class ModelRegistry implements AsyncDisposable {
  readonly #options: CheckedRegistryOptions;
  readonly #host: RegistryHost;
  readonly #policy: Residency;
  readonly #names = new Map<string, Entry>();
  readonly #entries = new Map<string, Entry>();
  readonly #waiters = new Map<Ticket, Waiter>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #forgotten = new FinalizationRegistry<Entry>((entry) => this.#letGo(entry));
  readonly #closing = new AbortController();
  readonly #lost = new FinalizationRegistry<Use>((use) => use.release());
  /** Budgets that were given; the others follow the machine's limits. */
  #set: {gpu: number | undefined; ram: number | undefined};
  #budgetRead = -Infinity;
  #waiting = 0;
  #wake: NodeJS.Timeout | undefined;
  #deciding = false;
  #disposed: Promise<void> | undefined;

  /** Made by `createModelRegistry`. */
  constructor(options: CheckedRegistryOptions, host: RegistryHost) {
    this.#options = options;
    this.#host = host;
    this.#set = {gpu: options.gpu, ram: options.ram};
    this.#policy = new Residency({budget: this.#budgetNow(), turn: options.turn});
    options.monitor?.on('reading', this.#relieve);
  }

  /**
   * Names a model; nothing is read yet. Throws OptionError, for a name that is taken too. A folder that is there with the
   * same options under another name is loaded once for both.
   */
  add(name: string, source: string, options: RegisteredModelOptions = {}): this {
    this.#checkOpen();
    if (typeof name !== 'string' || name === '') throw new OptionError('name', 'a name', name);
    if (this.#names.has(name)) throw new OptionError('name', 'a name that no model of the registry has', name);
    const {memory = {}, ...rest} = object('options', options);
    noOthers('options.memory', object('options.memory', memory), ['gpu', 'ram']);
    const load: LoadOptions = {...rest, device: this.#options.device};
    if (load.backend === 'cpu') delete load.device;
    for (const option of ['name', 'device', 'signal', 'monitor'] as const) {
      if (option in rest)
        throw new OptionError(`options.${option}`, "left out: it is the registry's, or the request's", (rest as LoadOptions)[option]);
    }
    checkLoadOptions(source, load);
    const key = keyOf(source, load);
    const entry: Entry = this.#entries.get(key) ?? {
      key,
      source: resolve(source),
      options: load,
      expected: checkBudget(memory, 'options.memory.'),
      names: new Set(),
      holders: 0,
      opened: undefined,
      resident: undefined,
      broken: false,
    };
    entry.names.add(name);
    this.#entries.set(key, entry);
    this.#names.set(name, entry);
    return this;
  }

  /**
   * Takes the name away; false for one that there is not. The model is freed once none of its names is left, nobody uses
   * it, and no lease, model or session of it can be reached.
   */
  remove(name: string): boolean {
    const entry = this.#names.get(name);
    if (entry === undefined) return false;
    this.#names.delete(name);
    entry.names.delete(name);
    this.#decide();
    return true;
  }

  /**
   * The model, which stays in memory until the lease is released. Waits for its turn, and for it to be loaded.
   * Rejects with OptionError for an unknown name; TensorrtNodeError ERR_TIMEOUT, ERR_BUSY where too many wait,
   * ERR_DISPOSED; DoesNotFitError for more than a budget; MemoryPressureError of its monitor; AbortError; and with what loading it throws, which is that
   * request's alone: the next one loads it anew.
   */
  async acquire(name: string, options: AcquireOptions = {}): Promise<ModelLease> {
    const checked = checkAcquireOptions(options);
    this.#checkOpen();
    const entry = this.#names.get(name);
    if (entry === undefined) throw new OptionError('name', `one of ${[...this.#names.keys()].join(', ') || 'none: add a model'}`, name);
    const use = await this.#enter(entry, checked);
    const {model, resident} = await entry.opened!;
    const backend = new SharedBackend(resident, {
      enter: (signal) => this.#enter(entry, {signal}),
      join: () => this.#join(entry),
    });
    entry.holders++;
    this.#forgotten.register(backend, entry);
    const held: Use = {
      release: () => {
        backend.held = false;
        use.release();
      },
    };
    const shared = new LanguageModel(backend, model.tokenizer, model.config, model.name);
    const lease = new ModelLease(shared, held, (end) => this.#lost.unregister(end));
    this.#lost.register(lease, held, held);
    return lease;
  }

  /**
   * Calls `work` with the model, which stays in memory until its promise settles. Sessions made of it may go on later:
   * each of their requests then waits for its turn by itself. Rejects as `acquire` and `work` do.
   */
  async use<T>(name: string, work: (model: LanguageModel) => T | Promise<T>, options: AcquireOptions = {}): Promise<T> {
    const lease = await this.acquire(name, options);
    try {
      return await work(lease.model);
    } finally {
      lease.release();
    }
  }

  /** Where the models are now. */
  models(): RegisteredModel[] {
    return [...this.#names].map(([name, {key, source}]) => {
      const known = this.#policy.has(key) ? this.#policy.status(key) : undefined;
      const {state = 'unloaded', memory = {gpu: 0, ram: 0}, users = 0, waiting = 0} = known ?? {};
      return {name, source, state, memory: {...memory}, users, waiting};
    });
  }

  /** Bytes. */
  get budget(): Readonly<Memory> {
    return this.#policy.budget;
  }

  /** What models hold and have reserved, in bytes. */
  get held(): Readonly<Memory> {
    return this.#policy.held;
  }

  /**
   * Changes budgets: what is over a lower one goes as soon as nobody uses it. One that was never given follows the
   * machine's limits, in the same way. Throws OptionError.
   */
  setBudget(budget: BudgetOptions): void {
    noOthers('budget', object('budget', budget), ['gpu', 'ram']);
    const {gpu = this.#set.gpu, ram = this.#set.ram} = checkBudget(budget, 'budget.');
    this.#set = {gpu, ram};
    this.#budgetRead = -Infinity;
    this.#decide();
  }

  /** Refuses who waits with ERR_DISPOSED, ends requests under way, and frees all models. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#close();
    await this.#disposed;
  }

  /** The same as `await using`, for code that cannot. */
  dispose(): Promise<void> {
    return this[Symbol.asyncDispose]();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#wake);
    this.#options.monitor?.off('reading', this.#relieve);
    this.#closing.abort();
    const gone = new TensorrtNodeError('ERR_DISPOSED', 'the registry was disposed');
    for (const [ticket, waiter] of this.#waiters) {
      this.#policy.cancel(ticket);
      waiter.reject(gone);
    }
    this.#waiters.clear();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    await Promise.all([...this.#entries.values()].map(({resident}) => resident?.unload()));
  }

  /** One use of a model, from the wait for it on. */
  async #enter(entry: Entry, {signal, timeout = this.#options.timeout}: AcquireOptions): Promise<Use> {
    this.#checkOpen();
    throwIfAborted(signal);
    if (this.#waiting >= this.#options.maxWaiting) {
      throw new TensorrtNodeError('ERR_BUSY', `${this.#waiting} requests wait for models already`, 'try again later, or raise maxWaiting');
    }
    this.#waiting++;
    try {
      const until = this.#host.now() + timeout;
      const {monitor} = this.#options;
      await monitor?.admit({signal, timeout: Math.min(timeout, monitor.admissionTimeout)});
      await this.#granted(entry, signal, Math.max(0, until - this.#host.now()), timeout);
    } finally {
      this.#waiting--;
    }
    return this.#useOf(entry);
  }

  #join(entry: Entry): Use {
    this.#checkOpen();
    this.#policy.join(entry.key);
    return this.#useOf(entry);
  }

  #useOf(entry: Entry): Use {
    let released = false;
    return {
      release: (error) => {
        if (released) return;
        released = true;
        if (error instanceof TensorrtNodeError && FATAL.has(error.code)) entry.broken = true;
        this.#policy.release(entry.key, this.#host.now(), entry.resident?.memory());
        this.#decide();
      },
    };
  }

  /** Resolves once the model is in memory and the caller counted among its users. `left`: of the timeout. */
  #granted(entry: Entry, signal: AbortSignal | undefined, left: number, timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let ticket: Ticket | undefined;
      const settle = (end: () => void) => {
        clearTimeout(timer);
        stopListening?.();
        if (ticket !== undefined) this.#waiters.delete(ticket);
        settled = true;
        end();
      };
      const giveUp = (error: Error) => {
        if (ticket !== undefined) this.#policy.cancel(ticket);
        settle(() => reject(error));
        // Whoever had to make room need not any more.
        this.#decide();
      };
      let settled = false;
      const timer = setTimeout(() => giveUp(this.#timedOut(entry, timeout)), left);
      const stopListening = signal && onAbort(signal, () => giveUp(new AbortError(signal.reason)));
      this.#open(entry).then(
        () => {
          if (settled) return;
          if (this.#disposed) return giveUp(new TensorrtNodeError('ERR_DISPOSED', 'the registry was disposed'));
          ticket = this.#policy.request(entry.key, this.#host.now());
          this.#waiters.set(ticket, {resolve: () => settle(resolve), reject: (error) => settle(() => reject(error))});
          this.#decide();
        },
        (error: Error) => {
          if (!settled) settle(() => reject(error));
        },
      );
    });
  }

  /** Reads all of the model but its weights, once; what fails is tried again by the next request. */
  #open(entry: Entry): Promise<Opened> {
    entry.opened ??= this.#read(entry).catch((error) => {
      entry.opened = undefined;
      throw error;
    });
    return entry.opened;
  }

  async #read(entry: Entry): Promise<Opened> {
    const {source, options, expected, key} = entry;
    const model = await this.#host.open(source, {...options, name: labelOf(entry)});
    const estimate = await this.#host.estimate(source, model.modelPath, options);
    const ready = {gpu: expected.gpu ?? estimate.ready.gpu, ram: expected.ram ?? estimate.ready.ram};
    const resident = new ResidentModel(model.loadBackend, ready);
    entry.resident = resident;
    this.#policy.add(key, {...estimate, ready});
    return {model, resident};
  }

  /** Does what there is to do, until something changes. */
  #decide(): void {
    // Doing may change something at once.
    if (this.#deciding || this.#disposed) return;
    if (this.#host.now() - this.#budgetRead >= BUDGET_INTERVAL_MS) this.#policy.budget = this.#budgetNow();
    this.#deciding = true;
    try {
      for (let decision = this.#next(); decision !== undefined; decision = this.#next()) this.#do(decision);
    } finally {
      this.#deciding = false;
    }
    clearTimeout(this.#wake);
    const now = this.#host.now();
    const at = this.#policy.wakeAt(now);
    // Whoever waits has a timer that keeps the process alive.
    this.#wake = at === undefined ? undefined : setTimeout(() => this.#decide(), Math.max(1, at - now)).unref();
  }

  #next(): Decision | undefined {
    for (const entry of this.#entries.values()) {
      const {key} = entry;
      if (!this.#policy.has(key)) {
        if (entry.names.size === 0 && entry.opened === undefined) this.#entries.delete(key);
        continue;
      }
      const unwanted = entry.names.size === 0 && entry.holders === 0 && this.#policy.status(key).waiting === 0;
      if (unwanted && this.#policy.status(key).state === 'unloaded') {
        this.#policy.delete(key);
        this.#entries.delete(key);
      } else if ((unwanted || entry.broken) && this.#policy.unload(key)) {
        return {kind: 'unload', model: key};
      }
    }
    return this.#policy.next(this.#host.now());
  }

  #do(decision: Decision): void {
    if (decision.kind === 'grant') {
      this.#waiters.get(decision.ticket)!.resolve();
    } else if (decision.kind === 'refuse') {
      const {needs, ticket} = decision;
      this.#waiters.get(ticket)!.reject(this.#tooLarge(this.#entries.get(ticket.model)!, needs));
    } else {
      const step = this.#step(decision.kind, this.#entries.get(decision.model)!).finally(() => {
        this.#underWay.delete(step);
        this.#decide();
      });
      this.#underWay.add(step);
    }
  }

  /** Never rejects. */
  async #step(kind: 'load' | 'resume' | 'suspend' | 'unload', entry: Entry): Promise<void> {
    const {key, resident} = entry;
    try {
      // A load tells of itself.
      if (kind === 'load') await this.#bring(kind, resident!);
      else await observed(kind, labelOf(entry), () => (kind === 'resume' ? this.#bring(kind, resident!) : resident![kind]()));
      if (kind === 'unload') entry.broken = false;
      this.#policy.finished(key, resident!.memory(), this.#host.now());
    } catch (error) {
      this.#policy.failed(key);
      // A model that does not leave the GPU is unloaded; one that does not come is the news of those who wait for it.
      if (kind === 'suspend' || kind === 'unload') return;
      for (const ticket of this.#policy.waitingFor(key)) {
        this.#policy.cancel(ticket);
        this.#waiters.get(ticket)!.reject(error as Error);
      }
    }
  }

  /** Where the machine has less than the budgets say, as others have some of it, idle models go until there is room. */
  async #bring(kind: 'load' | 'resume', resident: ResidentModel): Promise<void> {
    for (;;) {
      try {
        return await resident[kind](this.#closing.signal);
      } catch (error) {
        if (!(error instanceof TensorrtNodeError) || !NO_ROOM.has(error.code)) throw error;
        const resource = error instanceof DoesNotFitError ? error.memory : 'gpu';
        const decision = this.#disposed ? undefined : this.#policy.relieve(resource);
        if (decision === undefined) throw error;
        await this.#step(decision.kind, this.#entries.get(decision.model)!);
      }
    }
  }

  /** With each reading while memory is short, so that what it frees shows before more goes. */
  readonly #relieve = (): void => {
    if (this.#disposed) return;
    this.#decide();
    for (const resource of this.#options.monitor!.short) {
      const decision = this.#policy.relieve(resource);
      if (decision !== undefined) this.#do(decision);
    }
  };

  #letGo(entry: Entry): void {
    entry.holders--;
    this.#decide();
  }

  #budgetNow(): Memory {
    this.#budgetRead = this.#host.now();
    const {gpu, ram} = this.#set;
    if (gpu !== undefined && ram !== undefined) return {gpu, ram};
    const there = this.#host.memory(this.#options.device);
    return {gpu: gpu ?? there.gpu, ram: ram ?? there.ram};
  }

  #tooLarge({names}: Entry, needs: Memory): Error {
    const memory = needs.gpu > this.budget.gpu ? 'gpu' : 'ram';
    const hint = "raise the registry's budget, or give the model a smaller maxContext, maxBatch or placement";
    return new DoesNotFitError(memory, needs[memory], this.budget[memory], `model ${[...names].join(', ')}`, undefined, hint);
  }

  #timedOut({key, names}: Entry, timeout: number): Error {
    const {held} = this;
    const state = this.#policy.has(key) ? this.#policy.status(key).state : 'unloaded';
    return new TensorrtNodeError(
      'ERR_TIMEOUT',
      `model ${[...names].join(', ')} was not there after ${Math.round(timeout)} ms: it is ${state}, and models hold ${formatMemory(held.gpu)} of VRAM and ${formatMemory(held.ram)} of RAM`,
      'allow more time, raise the budgets, or let requests end sooner',
    );
  }

  #checkOpen(): void {
    if (this.#disposed) throw new TensorrtNodeError('ERR_DISPOSED', 'the registry was disposed');
  }
}

/** What observers call it: of several names, the first. */
function labelOf({names, source}: Entry): string {
  const [name = basename(source)] = names;
  return name;
}

/** Folders are told apart by their paths: two links to one folder are two models. */
function keyOf(source: string, options: LoadOptions): string {
  const {onProgress, ...rest} = options as LoadOptions & {[option: string]: unknown};
  const sorted = Object.entries(rest)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([resolve(source), sorted]);
}
