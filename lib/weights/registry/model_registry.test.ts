import {setImmediate} from 'node:timers/promises';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

import {describe, expect, it} from 'vitest';

import {createRandom} from '../../../test/support/random.js';
import {answerOf, SimulatedMachine, type SimulatedModel} from '../../../test/support/simulated_models.js';
import {TensorrtNodeError} from '../../errors.js';
import type {LanguageModel} from '../../generate/model.js';
import type {Session} from '../../generate/session.js';
import {MemoryMonitor} from '../monitor/memory_monitor.js';
import {ModelRegistry} from './model_registry.js';
import {checkRegistryOptions, type ModelRegistryOptions} from './options.js';

function setUp(models: Record<string, SimulatedModel>, options: ModelRegistryOptions = {}, limits = {gpu: 10, ram: 10}) {
  const machine = new SimulatedMachine(models);
  const registry = new ModelRegistry(checkRegistryOptions({gpu: 10, ram: 10, turn: 5, ...options}), {
    open: async (source) => machine.open(source),
    estimate: async (path) => {
      const {size, suspendable = true} = models[path.split('/').at(-1)!]!;
      return suspendable ? {ready: {gpu: size, ram: 0}, suspended: {gpu: 0, ram: size}} : {ready: {gpu: 0, ram: size}};
    },
    memory: () => ({...limits}),
    now: () => performance.now(),
  });
  for (const name of Object.keys(models)) registry.add(name, `/models/${name}`);
  return {machine, registry};
}

const PROMPT = [1, 2, 3];
const ask = async (model: LanguageModel | Session, prompt = PROMPT) => (await model.generateText(prompt, {maxNewTokens: 4})).tokens;

describe('ModelRegistry', () => {
  it('loads a model with its first use, and shares it', async () => {
    const {machine, registry} = setUp({a: {size: 4}});
    expect(registry.models()).toMatchObject([{name: 'a', state: 'unloaded', memory: {gpu: 0, ram: 0}}]);
    const answers = await Promise.all([1, 2, 3].map(() => registry.use('a', (model) => ask(model))));
    for (const answer of answers) expect(answer).toEqual(answerOf('a', PROMPT, 4));
    expect(machine.log).toEqual(['load a']);
    expect(registry.models()).toEqual([{name: 'a', source: '/models/a', state: 'ready', memory: {gpu: 4, ram: 0}, users: 0, waiting: 0}]);
    await registry.dispose();
    expect(machine.held).toEqual({gpu: 0, ram: 0});
  });

  it('loads one folder once for several names, and anew for other options', async () => {
    const {machine, registry} = setUp({a: {size: 4}});
    registry.add('also a', '/models/../models/a', {}).add('short', '/models/a', {maxContext: 64});
    for (const name of ['a', 'also a', 'short', 'also a', 'a']) await registry.use(name, () => {});
    expect(machine.log).toEqual(['load a', 'load a']);
    expect(registry.held.gpu).toBe(8);
    await registry.dispose();
  });

  it('moves what is least recently used out of the way, and brings it back', async () => {
    const {machine, registry} = setUp({a: {size: 5}, b: {size: 5}, c: {size: 5}, d: {size: 5, suspendable: false}});
    for (const name of ['a', 'b', 'c', 'a', 'd', 'b']) {
      expect(await registry.use(name, (model) => ask(model))).toEqual(answerOf(name, PROMPT, 4));
    }
    expect(machine.log).toEqual([
      'load a',
      'load b',
      'suspend a',
      'load c',
      'suspend b',
      'resume a',
      'load d',
      // There is room for one copy in RAM, and it was used before d.
      'unload c',
      'resume b',
    ]);
    expect(registry.held).toEqual(machine.held);
    await registry.dispose();
  });

  it('leaves a model with whoever has it', async () => {
    const {machine, registry} = setUp({a: {size: 8}, b: {size: 8}});
    const lease = await registry.acquire('a');
    const waiting = registry.use('b', (model) => ask(model));
    await new Promise((resolve) => setTimeout(resolve, 20));
    // Though b's turn has come, for one who has a.
    expect(await ask(lease.model)).toEqual(answerOf('a', PROMPT, 4));
    const under = lease.model.generate(PROMPT, {maxNewTokens: 2});
    await under.next();
    expect(machine.log).toEqual(['load a']);
    lease.release();
    lease.release();
    await under.return();
    expect(await waiting).toEqual(answerOf('b', PROMPT, 4));
    expect(machine.log).toEqual(['load a', 'suspend a', 'load b']);
    // The model of a lease that ended waits for its turn by itself.
    expect(await ask(lease.model)).toEqual(answerOf('a', PROMPT, 4));
    expect(await lease.model.score(PROMPT)).toHaveLength(3 * lease.model.vocabSize);
    await registry.dispose();
  });

  it('keeps sessions over the life of the weights', async () => {
    const {machine, registry} = setUp({a: {size: 8}, b: {size: 8}}, {ram: 0});
    const session = await registry.use('a', (model) => model.createSession());
    const first = await ask(session);
    await registry.use('b', (model) => ask(model));
    const second = await ask(session, [9]);
    expect(second).toEqual(answerOf('a', [...PROMPT, ...first, 9], 4));
    const fork = session.fork();
    await registry.use('b', () => {});
    const another = session.fork();
    for (const each of [fork, another]) expect(await ask(each, [8])).toEqual(answerOf('a', [...PROMPT, ...first, 9, ...second, 8], 4));
    expect(machine.log).toEqual(['load a', 'unload a', 'load b', 'unload b', 'load a', 'unload a', 'load b', 'unload b', 'load a']);
    await fork.dispose();
    await session.dispose();
    const [backend] = machine.backends;
    expect(backend!.sequences.size).toBe(1);
    await registry.dispose();
  });

  it('keeps sequences of suspended models', async () => {
    const {machine, registry} = setUp({a: {size: 8}, b: {size: 8}});
    const session = await registry.use('a', (model) => model.createSession());
    await ask(session);
    const [backend] = machine.backends;
    const [sequence] = backend!.sequences;
    await registry.use('b', (model) => ask(model));
    await ask(session, [9]);
    expect([...backend!.sequences]).toEqual([sequence]);
    await registry.dispose();
  });
});

describe('waiting', () => {
  const held = async (options: ModelRegistryOptions = {}) => {
    const {machine, registry} = setUp({a: {size: 8}, b: {size: 8}}, options);
    const lease = await registry.acquire('a');
    return {machine, registry, lease};
  };

  it('ends after a while with a typed error, and the model is there for the next one', async () => {
    const {registry, lease} = await held();
    await expect(registry.use('b', () => {}, {timeout: 10})).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      message: expect.stringContaining('model b was not there after 10 ms: it is unloaded'),
    });
    expect(registry.models()).toMatchObject([{users: 1}, {waiting: 0}]);
    lease.release();
    expect(await registry.use('b', (model) => ask(model))).toEqual(answerOf('b', PROMPT, 4));
    await registry.dispose();
  });

  it('ends with its signal', async () => {
    const {registry, lease} = await held();
    const controller = new AbortController();
    const waiting = registry.acquire('b', {signal: controller.signal});
    await setImmediate();
    controller.abort('why');
    await expect(waiting).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'why'});
    await expect(registry.acquire('b', {signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
    lease.release();
    await registry.dispose();
  });

  it('of a request of a session ends with its signal, and with its loop', async () => {
    const {registry, lease} = await held();
    const session = lease.model.createSession();
    lease.release();
    const b = await registry.acquire('b');
    const controller = new AbortController();
    const waiting = session.generateText(PROMPT, {signal: controller.signal});
    await setImmediate();
    controller.abort();
    await expect(waiting).rejects.toMatchObject({code: 'ERR_ABORTED'});
    b.release();
    expect(await ask(session, [4])).toHaveLength(4);
    await registry.dispose();
  });

  it('is for so many', async () => {
    const {registry, lease} = await held({maxWaiting: 2});
    const waiting = [1, 2].map(() => registry.use('b', (model) => ask(model)));
    await expect(registry.use('a', () => {})).rejects.toMatchObject({
      code: 'ERR_BUSY',
      message: expect.stringContaining('2 requests wait'),
    });
    lease.release();
    await Promise.all(waiting);
    await registry.use('a', () => {});
    await registry.dispose();
  });

  it('ends with the registry', async () => {
    const {registry, lease} = await held();
    const waiting = Promise.allSettled([registry.use('b', () => {}), registry.acquire('b')]);
    await setImmediate();
    const session = lease.model.createSession();
    await registry.dispose();
    await registry.dispose();
    for (const each of await waiting) expect(each).toMatchObject({status: 'rejected', reason: {code: 'ERR_DISPOSED'}});
    await expect(registry.acquire('a')).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    await expect(session.generateText(PROMPT)).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    await expect(lease.model.generateText(PROMPT)).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    lease.release();
  });
});

describe('failures', () => {
  const failing = (failures: string[], code: 'ERR_OUT_OF_MEMORY' | 'ERR_BACKEND' = 'ERR_OUT_OF_MEMORY'): SimulatedModel => ({
    size: 8,
    onStep(step) {
      if (failures[0] !== step) return;
      failures.shift();
      throw new TensorrtNodeError(code, `${step} failed`);
    },
  });

  it('to load end the requests that wait for it, leave the budget, and the next one tries again', async () => {
    const {registry, machine} = setUp({a: failing(['load']), b: {size: 8}});
    const waiting = await Promise.allSettled([
      registry.use('a', () => {}),
      registry.use('a', () => {}),
      registry.use('b', (model) => ask(model)),
    ]);
    expect(waiting).toMatchObject([
      {status: 'rejected', reason: {code: 'ERR_OUT_OF_MEMORY'}},
      {status: 'rejected'},
      {status: 'fulfilled', value: answerOf('b', PROMPT, 4)},
    ]);
    expect(registry.held).toEqual({gpu: 8, ram: 0});
    expect(await registry.use('a', (model) => ask(model))).toEqual(answerOf('a', PROMPT, 4));
    expect(registry.held).toEqual(machine.held);
    await registry.dispose();
  });

  it('for want of memory that others have taken make idle models go, and nothing else', async () => {
    const others = {taken: 6};
    const crowded = (): SimulatedModel => ({
      size: 3,
      onStep(step) {
        // Of a machine of 15.
        if ((step === 'load' || step === 'resume') && machine.held.gpu + 3 + others.taken > 15) {
          throw new TensorrtNodeError('ERR_OUT_OF_MEMORY', `${step} failed`);
        }
      },
    });
    const {registry, machine} = setUp({a: crowded(), b: crowded(), c: crowded(), d: crowded()}, {gpu: 15});
    for (const name of ['a', 'b', 'c']) await registry.use(name, () => {});
    const lease = await registry.acquire('b');
    others.taken = 10;
    expect(await registry.use('d', (model) => ask(model)).catch(({code}) => code)).toBe('ERR_OUT_OF_MEMORY');
    // All that could go went.
    expect(machine.log.slice(3)).toEqual(['load d', 'suspend a', 'load d', 'suspend c', 'load d']);
    expect(registry.held).toEqual(machine.held);
    others.taken = 9;
    expect(await registry.use('d', (model) => ask(model))).toEqual(answerOf('d', PROMPT, 4));
    expect(await ask(lease.model)).toEqual(answerOf('b', PROMPT, 4));
    lease.release();
    await registry.dispose();
  });

  it('to come back end its requests, and it comes back with the next', async () => {
    const {registry, machine} = setUp({a: failing(['resume']), b: {size: 8}});
    for (const name of ['a', 'b']) await registry.use(name, () => {});
    await expect(registry.use('a', () => {})).rejects.toMatchObject({code: 'ERR_OUT_OF_MEMORY', message: 'resume failed'});
    expect(registry.held).toEqual(machine.held);
    expect(await registry.use('a', (model) => ask(model))).toEqual(answerOf('a', PROMPT, 4));
    await registry.dispose();
  });

  it('to be suspended make it be unloaded', async () => {
    const {registry, machine} = setUp({a: failing(['suspend']), b: {size: 8}});
    for (const name of ['a', 'b']) await registry.use(name, () => {});
    expect(machine.log).toEqual(['load a', 'suspend a', 'unload a', 'load b']);
    expect(await registry.use('a', (model) => ask(model))).toEqual(answerOf('a', PROMPT, 4));
    await registry.dispose();
  });

  it('of the backend itself make it be loaded anew', async () => {
    const {registry, machine} = setUp({a: failing(['request'], 'ERR_BACKEND')});
    await expect(registry.use('a', (model) => ask(model))).rejects.toMatchObject({code: 'ERR_BACKEND'});
    expect(await registry.use('a', (model) => ask(model))).toEqual(answerOf('a', PROMPT, 4));
    expect(machine.log).toEqual(['load a', 'unload a', 'load a']);
    await registry.dispose();
  });

  it('of a request leave the model where it is', async () => {
    const {registry, machine} = setUp({a: failing(['request'])});
    await expect(registry.use('a', (model) => ask(model))).rejects.toMatchObject({code: 'ERR_OUT_OF_MEMORY'});
    expect(await registry.use('a', (model) => ask(model))).toEqual(answerOf('a', PROMPT, 4));
    expect(machine.log).toEqual(['load a']);
    await registry.dispose();
  });

  it('to find the files are told to each who asks', async () => {
    const {registry} = setUp({});
    registry.add('lost', '/models/lost');
    for (let round = 0; round < 2; round++) await expect(registry.use('lost', () => {})).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
    expect(registry.remove('lost')).toBe(true);
    expect(registry.remove('lost')).toBe(false);
    await registry.dispose();
  });

  it('of what is done with a model let it go', async () => {
    const {registry} = setUp({a: {size: 8}, b: {size: 8}});
    const work = async () => {
      throw new Error("the user's own");
    };
    await expect(registry.use('a', work)).rejects.toThrow("the user's own");
    await registry.use('b', () => {});
    await registry.dispose();
  });

  it('to fit are told with what is missing', async () => {
    const {registry} = setUp({a: {size: 11}});
    await expect(registry.use('a', () => {})).rejects.toMatchObject({
      code: 'ERR_DOES_NOT_FIT',
      memory: 'gpu',
      neededBytes: 11,
      availableBytes: 10,
      message:
        "model a: needs 11 B of GPU memory, 1 B more than the 10 B there are for it (raise the registry's budget, or give the model a smaller maxContext, maxBatch or placement)",
    });
    await registry.dispose();
  });
});

describe('budgets', () => {
  it("that are not given follow the machine's limits while models serve", async () => {
    const limits = {gpu: 10, ram: 10};
    const {registry, machine} = setUp({a: {size: 5, suspendable: false}, b: {size: 5, suspendable: false}}, {ram: undefined}, limits);
    for (const name of ['a', 'b']) await registry.use(name, () => {});
    expect(machine.held.ram).toBe(10);
    limits.ram = 5;
    registry.setBudget({});
    while (machine.held.ram > 5) await setImmediate();
    limits.ram = 4;
    registry.setBudget({});
    await expect(registry.use('b', () => {})).rejects.toMatchObject({code: 'ERR_DOES_NOT_FIT', availableBytes: 4});
    limits.ram = 10;
    registry.setBudget({gpu: 3});
    expect(await registry.use('b', (model) => ask(model))).toEqual(answerOf('b', PROMPT, 4));
    expect(registry.budget).toEqual({gpu: 3, ram: 10});
    await registry.dispose();
  });

  it('may be changed at any time', async () => {
    const {registry, machine} = setUp({a: {size: 5}, b: {size: 5}});
    for (const name of ['a', 'b']) await registry.use(name, () => {});
    registry.setBudget({gpu: '5B'});
    expect(registry.budget).toEqual({gpu: 5, ram: 10});
    expect(await registry.use('b', (model) => ask(model))).toEqual(answerOf('b', PROMPT, 4));
    expect(machine.held).toEqual({gpu: 5, ram: 5});
    registry.setBudget({gpu: 4, ram: 0});
    await expect(registry.use('b', () => {})).rejects.toMatchObject({code: 'ERR_DOES_NOT_FIT'});
    await registry.dispose();
  });
});

describe('a monitor', () => {
  const monitored = (admission: 'wait' | 'refuse') => {
    const ram = {used: 0};
    const monitor = new MemoryMonitor(
      {admission, intervalMs: 5},
      {
        gpus: async () => ({reason: 'none'}),
        host: () => ({totalBytes: 100, limitBytes: 100, availableBytes: 100 - ram.used, rssBytes: 1}),
        holders: () => [],
        now: Date.now,
      },
    );
    const {machine, registry} = setUp({a: {size: 5, suspendable: false}, b: {size: 5, suspendable: false}}, {monitor});
    return {ram, monitor, machine, registry};
  };

  it('has models that nobody uses make room while memory is short, and requests wait', async () => {
    const {ram, monitor, machine, registry} = monitored('wait');
    for (const name of ['a', 'b']) await registry.use(name, () => {});
    const lease = await registry.acquire('b');
    ram.used = 95;
    await monitor.read();
    const waiting = registry.use('a', (model) => ask(model));
    // One who has a model goes on with it.
    expect(await ask(lease.model)).toEqual(answerOf('b', PROMPT, 4));
    while (machine.log.length < 3) await setImmediate();
    expect(machine.log.slice(2)).toEqual(['unload a']);
    ram.used = 10;
    expect(await waiting).toEqual(answerOf('a', PROMPT, 4));
    lease.release();
    monitor.dispose();
    await registry.dispose();
    expect(monitor.listenerCount('reading')).toBe(0);
  });

  it('refuses requests, where it is told to', async () => {
    const {ram, monitor, registry} = monitored('refuse');
    const session = await registry.use('a', (model) => model.createSession());
    ram.used = 95;
    await monitor.read();
    await expect(registry.use('b', () => {})).rejects.toMatchObject({code: 'ERR_MEMORY_PRESSURE', resource: 'ram'});
    await expect(ask(session)).rejects.toMatchObject({code: 'ERR_MEMORY_PRESSURE'});
    ram.used = 10;
    // What was asked stays in the session.
    expect(await ask(session)).toEqual(answerOf('a', [...PROMPT, ...PROMPT], 4));
    monitor.dispose();
    await registry.dispose();
  });
});

describe('a removed model', () => {
  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) await setImmediate();
  };

  it('is freed at once where nobody has it', async () => {
    const {registry, machine} = setUp({a: {size: 5}});
    registry.add('b', '/models/a');
    await registry.use('a', () => {});
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    registry.remove('a');
    await settle();
    collect();
    await settle();
    expect(machine.held.gpu).toBe(5);
    registry.remove('b');
    await settle();
    collect();
    await settle();
    expect(machine.held.gpu).toBe(0);
    await registry.dispose();
  });

  it('stays for those who have it, and goes when they are collected', async () => {
    const {registry, machine} = setUp({a: {size: 5}});
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const holder: {session?: Session} = {};
    holder.session = await registry.use('a', (model) => model.createSession());
    registry.remove('a');
    await expect(registry.use('a', () => {})).rejects.toMatchObject({code: 'ERR_OPTION'});
    for (let round = 0; round < 3; round++) {
      collect();
      await settle();
    }
    expect(await ask(holder.session)).toEqual(answerOf('a', PROMPT, 4));
    delete holder.session;
    for (let round = 0; round < 50 && machine.held.gpu > 0; round++) {
      collect();
      await settle();
    }
    expect(machine.held.gpu).toBe(0);
    await registry.dispose();
  });

  it('is let go by a lease that was lost', async () => {
    const {registry, machine} = setUp({a: {size: 8}, b: {size: 8}});
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await (async () => void (await registry.acquire('a')))();
    const other = registry.use('b', (model) => ask(model));
    for (let round = 0; round < 50 && machine.log.length < 2; round++) {
      collect();
      await settle();
    }
    expect(await other).toEqual(answerOf('b', PROMPT, 4));
    await registry.dispose();
  });
});

describe('options', () => {
  const {registry} = setUp({a: {size: 1}});
  it.each<[string, () => unknown, string]>([
    ['an amount that is none', () => checkRegistryOptions({gpu: 'much'}), 'gpu'],
    ['an unknown one', () => checkRegistryOptions({vram: 5} as never), 'options.vram'],
    ['a negative time', () => checkRegistryOptions({timeout: -1}), 'timeout'],
    ['a monitor that is none', () => checkRegistryOptions({monitor: {} as never}), 'monitor'],
    ['no name', () => registry.add('', '/x'), 'name'],
    ['a name that is taken', () => registry.add('a', '/x'), 'name'],
    ['no source', () => registry.add('x', ''), 'source'],
    ['a device of its own', () => registry.add('x', '/x', {device: 1} as never), 'options.device'],
    ['another name for observers', () => registry.add('x', '/x', {name: 'y'} as never), 'options.name'],
    ['a signal for all times', () => registry.add('x', '/x', {signal: AbortSignal.abort()} as never), 'options.signal'],
    ['memory that is none', () => registry.add('x', '/x', {memory: {gpu: -1}}), 'options.memory.gpu'],
    ['a wrong load option', () => registry.add('x', '/x', {maxBatch: 0}), 'maxBatch'],
    ['a wrong budget', () => registry.setBudget({ram: {} as never}), 'budget.ram'],
  ])('%s', (_, call, option) => {
    expect(call).toThrow(expect.objectContaining({code: 'ERR_OPTION', option}));
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ['an unknown name', () => registry.acquire('z'), 'name'],
    ['a signal that is none', () => registry.acquire('a', {signal: {} as never}), 'signal'],
    ['a timeout that is none', () => registry.use('a', () => {}, {timeout: Number.NaN}), 'timeout'],
    ['an unknown option', () => registry.use('a', () => {}, {wait: 5} as never), 'options.wait'],
  ])('%s', async (_, call, option) => {
    await expect(call()).rejects.toMatchObject({code: 'ERR_OPTION', option});
  });
});

describe('random uses', () => {
  it('all get their answers, within the budgets, whatever fails', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const {below, pick} = createRandom(seed);
      const failing = below(2) === 0;
      const turns = () => below(4);
      const onStep = (step: string) => {
        if (failing && below(12) === 0) throw new TensorrtNodeError(below(2) === 0 ? 'ERR_OUT_OF_MEMORY' : 'ERR_BACKEND', `${step} failed`);
      };
      const names = ['a', 'b', 'c', 'd', 'e', 'f'];
      const models = Object.fromEntries(names.map((name) => [name, {size: 2 + below(5), suspendable: below(4) > 0, turns, onStep}]));
      const {machine, registry} = setUp(models, {turn: below(3), ram: 6 + below(8)});
      const sessions = new Map<string, Session>();
      const one = async () => {
        const name = pick(names);
        const controller = new AbortController();
        try {
          if (below(10) === 0) void setImmediate().then(() => controller.abort());
          const session = sessions.get(name);
          if (session !== undefined && below(2) === 0) {
            const before = [...session.tokens];
            const {tokens} = await session.generateText(PROMPT, {maxNewTokens: 3, signal: controller.signal});
            expect(tokens).toEqual(answerOf(name, [...before, ...PROMPT], 3));
            return;
          }
          const answer = await registry.use(
            name,
            async (model) => {
              if (!sessions.has(name)) sessions.set(name, model.createSession());
              return ask(model);
            },
            {signal: controller.signal},
          );
          expect(answer).toEqual(answerOf(name, PROMPT, 4));
        } catch (error) {
          // A session answers one request at a time.
          if (!(error instanceof TensorrtNodeError)) throw error;
          const allowed = failing ? ['ERR_ABORTED', 'ERR_BUSY', 'ERR_OUT_OF_MEMORY', 'ERR_BACKEND'] : ['ERR_ABORTED', 'ERR_BUSY'];
          expect(allowed).toContain(error.code);
        }
      };
      for (let round = 0; round < 12; round++) await Promise.all(Array.from({length: 1 + below(8)}, one));
      expect(machine.most.gpu).toBeLessThanOrEqual(registry.budget.gpu);
      expect(machine.most.ram).toBeLessThanOrEqual(registry.budget.ram);
      expect(registry.models().every(({users, waiting}) => users === 0 && waiting === 0)).toBe(true);
      await registry.dispose();
      expect(machine.held).toEqual({gpu: 0, ram: 0});
    }
  }, 60_000);
});
