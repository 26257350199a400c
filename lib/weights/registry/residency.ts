/**
 * Which of several models are in memory: who is let in, and who goes for it. Decisions alone; who acts on them tells
 * what came of it. Budgets are never exceeded as far as the models' needs are known before they are loaded.
 */

/** Bytes. */
export interface Memory {
  gpu: number;
  /** Of the host, pinned or not. */
  ram: number;
}

/** What a model is expected to take; corrected by what it is found to take. */
export interface Needs {
  ready: Memory;
  /** While out of the GPU; undefined for a model that can only be unloaded. */
  suspended?: Memory;
}

export type ModelState = 'unloaded' | 'loading' | 'ready' | 'suspending' | 'suspended' | 'resuming' | 'unloading';

/** Somebody waiting for a model, in the order of arrival. */
export interface Ticket {
  readonly model: string;
  /** When it came, in milliseconds of the clock that `next` is called with. */
  readonly since: number;
}

export interface Eviction {
  kind: 'suspend' | 'unload';
  model: string;
}

export type Decision =
  /** To be done, and answered with `finished` or `failed`. */
  | {kind: 'load' | 'resume'; model: string}
  | Eviction
  /** The model is ready; it is used until `release`. */
  | {kind: 'grant'; ticket: Ticket}
  /** What it needs is more than a budget. */
  | {kind: 'refuse'; ticket: Ticket; needs: Memory};

interface Entry {
  readonly id: string;
  needs: Needs;
  state: ModelState;
  /** Held now, apart from a step under way. */
  memory: Memory;
  users: number;
  waiting: number;
  lastUsed: number;
  readySince: number;
  /** Just brought in: if it took more than was expected there is no room for it yet. */
  unsettled: boolean;
  /** How often in a row it was too large and had to go back. */
  returned: number;
}

type Victim = {entry: Entry; to: 'suspend' | 'unload'};

const NOTHING: Memory = {gpu: 0, ram: 0};
/** A model that needs more each time it is loaded is not loaded for ever. */
const MOST_RETURNS = 2;

export class Residency {
  #budget: Memory;
  readonly #turn: number;
  readonly #entries = new Map<string, Entry>();
  /** In order of arrival. */
  readonly #waiting = new Set<Ticket>();

  /** `turn`: milliseconds for which a model in use goes on taking new requests while another one waits for its room. */
  constructor({budget, turn}: {budget: Memory; turn: number}) {
    this.#budget = budget;
    this.#turn = turn;
  }

  get budget(): Memory {
    return this.#budget;
  }

  /** Models that are over a lowered budget go as soon as nobody uses them. */
  set budget(budget: Memory) {
    this.#budget = budget;
  }

  /** Held, and reserved for what is under way. */
  get held(): Memory {
    return [...this.#entries.values()].map(charge).reduce(plus, NOTHING);
  }

  add(id: string, needs: Needs): void {
    const idle = {state: 'unloaded', memory: NOTHING, users: 0, waiting: 0, lastUsed: 0, readySince: 0} as const;
    this.#entries.set(id, {id, needs, ...idle, unsettled: false, returned: 0});
  }

  /** For a model that is unloaded and nobody waits for. */
  delete(id: string): void {
    const {state, waiting} = this.#entry(id);
    if (state !== 'unloaded' || waiting > 0) throw new Error(`the model is ${state}, and ${waiting} wait for it`);
    this.#entries.delete(id);
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  status(id: string): Readonly<Pick<Entry, 'state' | 'memory' | 'users' | 'waiting' | 'lastUsed' | 'needs'>> {
    return this.#entry(id);
  }

  request(id: string, now: number): Ticket {
    const ticket = {model: id, since: now};
    this.#entry(id).waiting++;
    this.#waiting.add(ticket);
    return ticket;
  }

  /** Somebody waits no longer. Nothing, once the ticket was granted or refused. */
  cancel(ticket: Ticket): void {
    if (this.#waiting.delete(ticket)) this.#entry(ticket.model).waiting--;
  }

  waitingFor(id: string): Ticket[] {
    return [...this.#waiting].filter(({model}) => model === id);
  }

  /** Another use by somebody who uses the model already, whom no turn's end may part from it. */
  join(id: string): void {
    const entry = this.#entry(id);
    if (entry.users === 0) throw new Error('nobody uses the model');
    entry.users++;
  }

  /** Ends a use that `grant` or `join` began. `memory`: what the model holds now, where that may have changed. */
  release(id: string, now: number, memory?: Memory): void {
    const entry = this.#entry(id);
    if (entry.users === 0) throw new Error('nobody uses the model');
    entry.users--;
    entry.lastUsed = now;
    if (memory !== undefined) entry.memory = memory;
  }

  /** What was decided is done; `memory` is what the model holds now. */
  finished(id: string, memory: Memory, now: number): void {
    const entry = this.#entry(id);
    switch (entry.state) {
      case 'loading':
      case 'resuming':
        entry.state = 'ready';
        entry.readySince = now;
        entry.lastUsed = now;
        entry.unsettled = true;
        entry.needs = {...entry.needs, ready: memory};
        break;
      case 'suspending':
        entry.state = 'suspended';
        entry.needs = {...entry.needs, suspended: memory};
        break;
      case 'unloading':
        entry.state = 'unloaded';
        break;
      default:
        throw new Error(`nothing is under way: the model is ${entry.state}`);
    }
    entry.memory = memory;
  }

  /**
   * What was decided failed, and all is as it was. A model that could not be suspended is unloaded in its place from
   * now on. One that could not be unloaded counts as gone.
   */
  failed(id: string): void {
    const entry = this.#entry(id);
    switch (entry.state) {
      case 'loading':
        entry.state = 'unloaded';
        break;
      case 'resuming':
        entry.state = 'suspended';
        break;
      case 'suspending':
        entry.state = 'ready';
        entry.needs = {ready: entry.needs.ready};
        break;
      case 'unloading':
        entry.state = 'unloaded';
        entry.memory = NOTHING;
        break;
      default:
        throw new Error(`nothing is under way: the model is ${entry.state}`);
    }
  }

  /** Unloads a model that is ready or suspended and not used; false where it is neither or in use. */
  unload(id: string): boolean {
    const entry = this.#entry(id);
    if ((entry.state !== 'ready' && entry.state !== 'suspended') || entry.users > 0) return false;
    entry.state = 'unloading';
    return true;
  }

  /**
   * What makes room of a kind that is short for another reason than these models: the idle one that was least recently
   * used leaves the GPU, or RAM; undefined where none has any.
   */
  relieve(resource: keyof Memory): Eviction | undefined {
    const room = {...this.#budget, [resource]: this.held[resource] - 1};
    const {victims} = this.#victims(NOTHING, isIdle, room);
    const [victim] = this.#startable(victims);
    return victim && this.#evict(victim);
  }

  /** The next thing to do, which counts as begun; undefined until something changes or `wakeAt` has come. */
  next(now: number): Decision | undefined {
    const over = this.#overBudget();
    return over.decision ?? this.#serve(now, over.ending);
  }

  /** When `next` may have something to say though nothing has changed. */
  wakeAt(now: number): number | undefined {
    for (const {since} of this.#waiting) if (since + this.#turn > now) return since + this.#turn;
    return undefined;
  }

  /** Frees what is over the budgets: they were lowered, or models took more than was expected. */
  #overBudget(): {decision?: Decision; ending: ReadonlySet<Entry>} {
    const fresh = [...this.#entries.values()].filter(({unsettled}) => unsettled);
    if (fits(this.held, this.#budget)) {
      for (const entry of fresh) Object.assign(entry, {unsettled: false, returned: 0});
      return {ending: new Set()};
    }
    const idle = this.#victims(NOTHING, isIdle);
    const [victim] = this.#startable(idle.victims);
    if (victim !== undefined) return {decision: this.#evict(victim), ending: new Set()};
    if (idle.enough) return {ending: new Set()};
    // Others do not go for it: it gives its place back and waits for one as others do, its needs known.
    const [back] = fresh;
    if (back !== undefined) {
      back.unsettled = false;
      back.returned++;
      return {decision: this.#evict({entry: back, to: 'unload'}), ending: new Set()};
    }
    const {victims} = this.#victims(NOTHING, ({state}) => state === 'ready' || state === 'suspended');
    return {ending: new Set(victims.map(({entry}) => entry))};
  }

  /** `ending`: models that must end as soon as they can. */
  #serve(now: number, ending: ReadonlySet<Entry>): Decision | undefined {
    // All that waited when a model came in, whoever else waits: it is not to come in for each of them.
    for (const ticket of this.#waiting) {
      const entry = this.#entry(ticket.model);
      if (entry.state === 'ready' && !entry.unsettled && ticket.since <= entry.readySince) return this.#grant(ticket, entry);
    }
    let blocked = false;
    const seen = new Set<Entry>();
    for (const ticket of this.#waiting) {
      const entry = this.#entry(ticket.model);
      if (entry.state === 'ready') {
        if (!entry.unsettled && !ending.has(entry)) return this.#grant(ticket, entry);
        continue;
      }
      if (!fits(entry.needs.ready, this.#budget) || entry.returned > MOST_RETURNS) {
        this.cancel(ticket);
        if (entry.waiting === 0) entry.returned = 0;
        return {kind: 'refuse', ticket, needs: entry.needs.ready};
      }
      if (blocked || seen.has(entry)) continue;
      seen.add(entry);
      // Room is reserved for it.
      if (entry.state === 'loading' || entry.state === 'resuming') continue;
      // Whoever came later must not take the room that it waits for.
      blocked = true;
      if (entry.state !== 'unloaded' && entry.state !== 'suspended') continue;
      const more = minus(most(entry.memory, entry.needs.ready), entry.memory);
      if (fits(plus(this.held, more), this.#budget)) return this.#bring(entry);
      let plan = this.#victims(more, (each) => each !== entry && isIdle(each));
      if (!plan.enough) {
        if (now - ticket.since < this.#turn) continue;
        plan = this.#victims(more, (each) => each !== entry && (isIdle(each) || each.state === 'ready'));
        ending = new Set([...ending, ...plan.victims.map(({entry}) => entry)]);
      }
      const [victim] = this.#startable(plan.victims);
      if (victim !== undefined) return this.#evict(victim);
    }
    return undefined;
  }

  #grant(ticket: Ticket, entry: Entry): Decision {
    this.cancel(ticket);
    entry.users++;
    return {kind: 'grant', ticket};
  }

  #bring(entry: Entry): Decision {
    const kind = entry.state === 'suspended' ? 'resume' : 'load';
    entry.state = kind === 'resume' ? 'resuming' : 'loading';
    return {kind, model: entry.id};
  }

  #evict({entry, to}: Victim): Eviction {
    entry.state = to === 'suspend' ? 'suspending' : 'unloading';
    return {kind: to, model: entry.id};
  }

  /**
   * Whom to evict so that `more` fits, once what is under way is done: off the GPU least recently used first, to RAM
   * where that has room or can be given some, and from RAM likewise.
   */
  #victims(more: Memory, mayGo: (entry: Entry) => boolean, budget = this.#budget): {victims: Victim[]; enough: boolean} {
    const victims = new Map<Entry, Victim>();
    // Those under way may hold more than they will: that must be there too, or a step now would exceed the budget.
    let after = plus([...this.#entries.values()].map(chargeAfter).reduce(plus, NOTHING), more);
    const candidates = [...this.#entries.values()].filter(mayGo).sort(byAge);
    for (const entry of candidates) {
      if (after.gpu <= budget.gpu) break;
      if (entry.memory.gpu === 0) continue;
      const {suspended} = entry.needs;
      // Suspending it would free nothing of what is short.
      const canSuspend = entry.state === 'ready' && suspended !== undefined;
      const to = canSuspend && suspended.gpu < entry.memory.gpu && suspended.ram <= budget.ram ? 'suspend' : 'unload';
      victims.set(entry, {entry, to});
      after = plus(minus(after, entry.memory), to === 'suspend' ? suspended! : NOTHING);
    }
    for (const entry of candidates) {
      if (after.ram <= budget.ram) break;
      const held = victims.get(entry)?.to === 'suspend' ? entry.needs.suspended! : victims.has(entry) ? NOTHING : entry.memory;
      if (held.ram === 0) continue;
      victims.set(entry, {entry, to: 'unload'});
      after = minus(after, held);
    }
    return {victims: [...victims.values()], enough: fits(after, budget)};
  }

  /** Of these the ones that nobody uses, and for whose copies in RAM there is room now; those that only free first. */
  #startable(victims: readonly Victim[]): Victim[] {
    const {held} = this;
    const idle = victims.filter(({entry}) => entry.users === 0);
    const unloads = idle.filter(({to}) => to === 'unload');
    const suspends = idle.filter(
      ({entry: {memory, needs}, to}) =>
        to === 'suspend' && fits(plus(held, minus(most(memory, needs.suspended!), memory)), {...this.#budget, gpu: Infinity}),
    );
    return [...unloads, ...suspends];
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`there is no model ${id}`);
    return entry;
  }
}

function isIdle({state, users, unsettled}: Entry): boolean {
  return users === 0 && !unsettled && (state === 'ready' || state === 'suspended');
}

/**
 * Idle models before those in use. Idle: least recently used first, but last those that somebody waits for. In use: the
 * one longest in memory first, whoever waits for it, so that it does not change who must end.
 */
function byAge(a: Entry, b: Entry): number {
  const inUse = Number(a.users > 0) - Number(b.users > 0);
  if (inUse !== 0) return inUse;
  return a.users > 0 ? a.readySince - b.readySince : Number(a.waiting > 0) - Number(b.waiting > 0) || a.lastUsed - b.lastUsed;
}

/** What it holds or may hold before the step under way is done. */
function charge({state, memory, needs}: Entry): Memory {
  if (state === 'loading' || state === 'resuming') return most(memory, needs.ready);
  return state === 'suspending' ? most(memory, needs.suspended ?? NOTHING) : memory;
}

/** What it will hold when the step under way is done, or may. */
function chargeAfter(entry: Entry): Memory {
  if (entry.state === 'unloading') return NOTHING;
  return entry.state === 'suspending' ? (entry.needs.suspended ?? NOTHING) : charge(entry);
}

function fits({gpu, ram}: Memory, budget: Memory): boolean {
  return gpu <= budget.gpu && ram <= budget.ram;
}

function plus(a: Memory, b: Memory): Memory {
  return {gpu: a.gpu + b.gpu, ram: a.ram + b.ram};
}

function minus(a: Memory, b: Memory): Memory {
  return {gpu: a.gpu - b.gpu, ram: a.ram - b.ram};
}

function most(a: Memory, b: Memory): Memory {
  return {gpu: Math.max(a.gpu, b.gpu), ram: Math.max(a.ram, b.ram)};
}
