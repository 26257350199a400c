import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';

import type {GpuReading} from './gpu_reading.js';
import {MemoryMonitor, type MemoryMonitorOptions, type MemoryReading} from './memory_monitor.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A machine of 1000 bytes of each kind, of which so much is in use. */
function setUp(options: MemoryMonitorOptions = {}) {
  const machine = {gpu: 100 as number | undefined, ram: 100, faults: 0, readings: 0, pinned: 0};
  const gpu = (usedBytes: number): GpuReading => ({
    name: 'GPU',
    ordinal: 0,
    totalBytes: 1000,
    usedBytes,
    freeBytes: 1000 - usedBytes,
    pinnedPool: {reservedBytes: 50, usedBytes: 20},
  });
  const monitor = new MemoryMonitor(options, {
    async gpus() {
      machine.readings++;
      return machine.gpu === undefined ? {reason: 'no driver'} : [gpu(0), gpu(machine.gpu)];
    },
    host: () => ({totalBytes: 2000, limitBytes: 1000, availableBytes: 1000 - machine.ram, rssBytes: 5, majorFaults: machine.faults}),
    holders: () => [{name: 'm', what: 'weights', where: 'pinned', bytes: machine.pinned}],
    now: Date.now,
  });
  const events: string[] = [];
  monitor.on('high', ({resource, share}) => events.push(`${resource} high ${share}`));
  monitor.on('low', ({resource, share}) => events.push(`${resource} low ${share}`));
  const use = async (gpuBytes: number | undefined, ram: number) => {
    // The reading that it begins with.
    if (monitor.last === undefined) await monitor.read();
    Object.assign(machine, {gpu: gpuBytes, ram});
    await monitor.read();
    return events.splice(0);
  };
  return {machine, monitor, use};
}

describe('readings', () => {
  it('come on demand and in time, and tell all', async () => {
    const {machine, monitor} = setUp({intervalMs: 1000});
    const told: MemoryReading[] = [];
    monitor.on('reading', (reading) => void told.push(reading));
    const first = await monitor.read();
    expect(first).toMatchObject({
      gpus: [{usedBytes: 0}, {usedBytes: 100, freeBytes: 900}],
      host: {rssBytes: 5, availableBytes: 900},
      pinnedBytes: 100,
      shares: {gpu: 0.1, ram: expect.closeTo(0.1)},
    });
    expect(first.majorFaultsPerSecond).toBeUndefined();
    machine.faults = 30;
    machine.pinned = 300;
    await vi.advanceTimersByTimeAsync(3000);
    expect(told).toHaveLength(4);
    expect(told[1]).toMatchObject({majorFaultsPerSecond: 30, pinnedBytes: 300});
    expect(monitor.last).toBe(told[3]);
    monitor.dispose();
    await vi.advanceTimersByTimeAsync(5000);
    expect(told).toHaveLength(4);
    expect((await monitor.read()).time).toBeGreaterThan(told[3]!.time);
  });

  it('are one for all who ask at once', async () => {
    const {machine, monitor} = setUp();
    const readings = await Promise.all([monitor.read(), monitor.read()]);
    expect(readings[0]).toBe(readings[1]);
    expect(machine.readings).toBe(1);
  });

  it('say why there is no GPU', async () => {
    const {monitor, use} = setUp();
    await use(undefined, 100);
    expect(monitor.last).toMatchObject({gpus: undefined, gpuMissing: {reason: 'no driver'}, shares: {ram: expect.closeTo(0.1)}});
    expect(monitor.last!.shares.gpu).toBeUndefined();
  });
});

describe('watermarks', () => {
  it('are told once each, with a gap between them', async () => {
    const {use, monitor} = setUp({watermarks: {gpu: 0.9, ram: {high: 0.5, low: 0.2}}});
    expect(await use(899, 100)).toEqual([]);
    expect(await use(900, 600)).toEqual(['gpu high 0.9', 'ram high 0.6']);
    expect(monitor.short).toEqual(['gpu', 'ram']);
    expect(await use(860, 300)).toEqual([]);
    expect(await use(840, 200)).toEqual(['gpu low 0.84', 'ram low 0.2']);
    expect(monitor.short).toEqual([]);
  });
});

describe('admit', () => {
  it('lets in while there is memory', async () => {
    const {monitor, machine} = setUp();
    await monitor.admit();
    expect(machine.readings).toBe(1);
    await monitor.admit();
    expect(machine.readings).toBe(1);
  });

  it('refuses while it is short, where it is told to', async () => {
    const {monitor, use, machine} = setUp({admission: 'refuse'});
    await use(100, 950);
    await expect(monitor.admit()).rejects.toMatchObject({
      name: 'MemoryPressureError',
      code: 'ERR_MEMORY_PRESSURE',
      resource: 'ram',
      share: expect.closeTo(0.95),
      watermark: 0.9,
      message: expect.stringContaining('95.0% of RAM are in use, and the watermark is 90.0%'),
    });
    // What it says is as of now.
    machine.ram = 100;
    await monitor.admit();
  });

  it('waits until it is short no longer, reading more often', async () => {
    const {monitor, use, machine} = setUp();
    await use(960, 100);
    let admitted = 0;
    const waiting = [monitor.admit(), monitor.admit()].map((each) => each.then(() => admitted++));
    await vi.advanceTimersByTimeAsync(1000);
    expect(admitted).toBe(0);
    const before = machine.readings;
    machine.gpu = 100;
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(waiting);
    expect(machine.readings).toBeLessThanOrEqual(before + 2);
    const after = machine.readings;
    // Nobody waits: back to the interval.
    await vi.advanceTimersByTimeAsync(20_000);
    expect(machine.readings).toBe(after);
  });

  it('waits no longer than it may', async () => {
    const {monitor, use} = setUp({admissionTimeout: 500});
    await use(960, 100);
    const outcomes = Promise.allSettled([monitor.admit(), monitor.admit({timeout: 100})]);
    await vi.advanceTimersByTimeAsync(500);
    expect(await outcomes).toMatchObject([
      {status: 'rejected', reason: {code: 'ERR_MEMORY_PRESSURE', resource: 'gpu', hint: expect.stringContaining('500 ms')}},
      {status: 'rejected', reason: {hint: expect.stringContaining('100 ms')}},
    ]);
  });

  it('ends with its signal, and with the monitor', async () => {
    const {monitor, use} = setUp();
    await use(960, 100);
    const controller = new AbortController();
    const aborted = expect(monitor.admit({signal: controller.signal})).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'why'});
    const refused = expect(monitor.admit()).rejects.toMatchObject({code: 'ERR_MEMORY_PRESSURE'});
    await vi.advanceTimersByTimeAsync(10);
    controller.abort('why');
    await aborted;
    monitor.dispose();
    monitor.dispose();
    await refused;
    await expect(monitor.admit()).rejects.toMatchObject({code: 'ERR_MEMORY_PRESSURE'});
    await expect(monitor.admit({signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
  });
});

describe('options', () => {
  it.each<[string, unknown, string]>([
    ['no interval', {intervalMs: 0}, 'intervalMs'],
    ['a share above all', {watermarks: {gpu: 1.5}}, 'watermarks.gpu'],
    ['marks the wrong way round', {watermarks: {ram: {high: 0.5, low: 0.5}}}, 'watermarks.ram.low'],
    ['a mark too many', {watermarks: {ram: {high: 0.5, low: 0.2, middle: 0.3}}}, 'watermarks.ram.middle'],
    ['an unknown resource', {watermarks: {vram: 0.5}}, 'watermarks.vram'],
    ['an unknown admission', {admission: 'maybe'}, 'admission'],
    ['an unknown option', {interval: 5}, 'options.interval'],
    ['a timeout that is none', {admissionTimeout: '5'}, 'admissionTimeout'],
  ])('%s', (_, options, option) => {
    expect(() => setUp(options as MemoryMonitorOptions)).toThrow(expect.objectContaining({code: 'ERR_OPTION', option}));
  });
});
