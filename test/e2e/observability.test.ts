/** Metrics, spans and logs of real requests on the CPU backend, through the built package. */

import {AsyncLocalStorage} from 'node:async_hooks';
import {spawnSync} from 'node:child_process';
import {symlink} from 'node:fs/promises';

import {type Context, type ContextManager, context, ROOT_CONTEXT, type Span, trace} from '@opentelemetry/api';
import {BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor} from '@opentelemetry/sdk-trace-base';
import {Counter, Registry} from 'prom-client';
import {createMemoryMonitor, createModelRegistry, type LanguageModel, loadModel, metrics, setLogging, setTracing} from 'tensorrt-node';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';

import {type ExposedFamily, parseExposition} from '../support/exposition.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {testTools} from '../support/test_tools.js';
import {projectFile, runNode} from './helpers/child.js';
import {MODEL_FOLDER} from './helpers/model.js';

const folder = temporaryFolder();
const LOAD = {backend: 'cpu', maxContext: 128, threads: 2} as const;
const PROMPT = '1, 2, 3,';
let model: LanguageModel;

beforeAll(async () => {
  model = await loadModel(MODEL_FOLDER, {...LOAD, name: 'small', maxBatch: 2});
});

afterAll(() => model.dispose());

afterEach(() => {
  setTracing();
  setLogging({level: 'off'});
});

type Families = Map<string, ExposedFamily>;

/** Of a model's one sample of a family, or of its part. */
function sampleOf(families: Families, name: string, labels: Record<string, string> = {}): number {
  const [family] = ['', '_sum', '_count'].flatMap((part) => {
    const found = name.endsWith(part) ? families.get(`tensorrt_node_${name.slice(0, name.length - part.length)}`) : undefined;
    return found === undefined ? [] : [found];
  });
  const wanted = Object.entries({model: 'small', ...labels});
  const found = family?.samples.filter(
    ({name: sample, labels: own}) => sample === `tensorrt_node_${name}` && wanted.every(([label, value]) => own[label] === value),
  );
  expect(found, name).toHaveLength(1);
  return found![0]!.value;
}

describe('metrics', () => {
  it('count what requests did, in both formats and beside what else the service counts', async () => {
    const registry = new Registry();
    const served = new Counter({name: 'served_total', help: 'Answers of this service.', registers: [registry]});
    using monitor = createMemoryMonitor();
    await monitor.read();
    const {text} = metrics({registry, monitor});
    const replies = await Promise.all([5, 6, 7].map((maxNewTokens) => model.generateText(PROMPT, {maxNewTokens})));
    served.inc(replies.length);
    const stopped = await model.generateText(PROMPT, {maxNewTokens: 40, stop: ','});
    expect(stopped.finishReason).toBe('stop');
    const own = parseExposition(await text(), 'prometheus');
    expect(own.get('served_total')!.samples).toMatchObject([{value: 3}]);
    expect(sampleOf(own, 'requests_total', {outcome: 'length'})).toBe(3);
    expect(sampleOf(own, 'requests_total', {outcome: 'stop'})).toBe(1);
    expect(sampleOf(own, 'time_to_first_token_seconds_count')).toBe(4);
    expect(sampleOf(own, 'time_between_tokens_seconds_count')).toBeGreaterThanOrEqual(4 + 5 + 6);
    expect(sampleOf(own, 'completion_tokens_total')).toBeGreaterThanOrEqual(5 + 6 + 7);
    expect(sampleOf(own, 'prompt_tokens_total')).toBe(4 * replies[0]!.usage.promptTokens);
    expect(sampleOf(own, 'memory_bytes', {what: 'weights', where: 'ram'})).toBeGreaterThan(1e8);
    expect(own.get('tensorrt_node_host_memory_bytes')!.samples).toHaveLength(2);
    // The third request waited for one of two places.
    const waited = Math.max(...replies.map(({timings}) => timings.queue)) / 1000;
    expect(sampleOf(own, 'request_queue_seconds_sum')).toBeGreaterThanOrEqual(waited);
    expect(sampleOf(own, 'request_seconds_sum')).toBeGreaterThanOrEqual(sampleOf(own, 'request_prefill_seconds_sum'));

    const open = parseExposition(await metrics({format: 'openmetrics'}).text(), 'openmetrics');
    expect(open.get('tensorrt_node_requests')!.samples).toHaveLength(4);
  });

  it('pass promtool', async () => {
    const {promtool} = testTools();
    await model.generateText(PROMPT, {maxNewTokens: 3});
    const {status, stdout, stderr} = spawnSync(promtool.path, ['check', 'metrics'], {input: await metrics().text(), encoding: 'utf8'});
    expect({status, stdout, stderr}).toEqual({status: 0, stdout: '', stderr: ''});
  });
});

/** As the one for Node of OpenTelemetry, which services register. */
function asyncContexts(): ContextManager {
  const storage = new AsyncLocalStorage<Context>();
  const manager: ContextManager = {
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, work, self, ...args) => storage.run(active, () => work.call(self as never, ...args)),
    bind: (_, target) => target,
    enable: () => manager,
    disable: () => manager,
  };
  return manager;
}

describe('spans', () => {
  const exporter = new InMemorySpanExporter();

  beforeAll(() => {
    trace.setGlobalTracerProvider(new BasicTracerProvider({spanProcessors: [new SimpleSpanProcessor(exporter)]}));
    context.setGlobalContextManager(asyncContexts());
  });

  afterAll(() => {
    trace.disable();
    context.disable();
  });

  afterEach(() => exporter.reset());

  /** Does `work` in a span of the service's. */
  async function called(name: string, work: () => Promise<unknown>): Promise<Span> {
    const span = trace.getTracer('service').startSpan(name);
    await context.with(trace.setSpan(context.active(), span), work);
    span.end();
    return span;
  }

  const startOf = ({startTime: [seconds, nanoseconds]}: ReadableSpan) => seconds * 1000 + nanoseconds / 1e6;
  const endOf = ({endTime: [seconds, nanoseconds]}: ReadableSpan) => seconds * 1000 + nanoseconds / 1e6;

  it('are of the trace of who asked, and have phases one after another', async () => {
    setTracing({sampleRatio: 1});
    const callers = await Promise.all(['a', 'b'].map((name) => called(name, () => model.generateText(PROMPT, {maxNewTokens: 4}))));
    const spans = exporter.getFinishedSpans();
    for (const caller of callers) {
      const {spanId, traceId} = caller.spanContext();
      const own = spans.filter((span) => span.spanContext().traceId === traceId);
      const request = own.find(({parentSpanContext}) => parentSpanContext?.spanId === spanId)!;
      expect(request.name).toBe('text_completion small');
      expect(request.attributes).toMatchObject({'gen_ai.usage.output_tokens': 4, 'tensorrt_node.backend': 'cpu'});
      const phases = own.filter(({parentSpanContext}) => parentSpanContext?.spanId === request.spanContext().spanId);
      expect(phases.map(({name}) => name)).toEqual(['queue', 'prefill', 'decode']);
      const times = phases.flatMap((phase) => [startOf(phase), endOf(phase)]);
      expect([startOf(request), ...times, endOf(request)]).toEqual([startOf(request), ...times, endOf(request)].sort((a, b) => a - b));
      const whole = own.find((span) => span.spanContext().spanId === spanId)!;
      // Its clock counts whole milliseconds.
      expect(startOf(request)).toBeGreaterThan(startOf(whole) - 2);
      expect(endOf(request)).toBeLessThan(endOf(whole) + 2);
    }
  });

  it('keep the caller where the reply is read elsewhere, and turns of a session are linked', async () => {
    setTracing({sampleRatio: 1});
    await using session = model.createSession();
    let reply: AsyncIterable<unknown> | undefined;
    const caller = await called('asked', async () => {
      reply = session.generate(PROMPT, {maxNewTokens: 2});
    });
    for await (const _ of reply!) {
    }
    await session.generateText(' 4', {maxNewTokens: 2});
    const [first, second] = exporter.getFinishedSpans().filter(({name}) => name === 'text_completion small');
    expect(first!.parentSpanContext?.spanId).toBe(caller.spanContext().spanId);
    expect(second!.parentSpanContext).toBeUndefined();
    expect(second!.links.map(({context: {spanId}}) => spanId)).toEqual([first!.spanContext().spanId]);
  });

  it('are of none where the ratio is 0', async () => {
    setTracing({sampleRatio: 0});
    await model.generateText(PROMPT, {maxNewTokens: 1});
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});

describe('logs', () => {
  it('tell of models that take turns in memory, by the names they are registered by', async () => {
    const lines: [string, unknown][] = [];
    const log = (fields: Readonly<Record<string, unknown>>) => void lines.push([String(fields.event), fields.model]);
    setLogging({logger: {debug: log, info: log, warn: log, error: log}});
    await using registry = createModelRegistry({gpu: 0, ram: '120MB'});
    for (const name of ['one', 'two']) {
      await symlink(MODEL_FOLDER, folder(name));
      registry.add(name, folder(name), LOAD);
    }
    for (const name of ['one', 'two', 'one']) await registry.use(name, (each) => each.generateText(PROMPT, {maxNewTokens: 1}));
    expect(lines).toEqual([
      ['model.load', 'one'],
      ['model.unload', 'one'],
      ['model.load', 'two'],
      ['model.unload', 'two'],
      ['model.load', 'one'],
    ]);
  });

  it('are lines of JSON on stderr where the environment asks for them, and nothing where it does not', async () => {
    const source = `
      import {loadModel} from ${JSON.stringify(projectFile('dist/index.js'))};
      const model = await loadModel(${JSON.stringify(MODEL_FOLDER)}, ${JSON.stringify(LOAD)});
      await model.generateText('1, 2,', {maxNewTokens: 2});
      await loadModel('/no/such/folder').catch(() => {});
      await model.dispose();
    `;
    const run = (env: Record<string, string>) => runNode(['--input-type=module', '--eval', source], env);
    const [told, silent] = await Promise.all([run({TENSORRT_NODE_LOG: 'debug'}), run({TENSORRT_NODE_LOG: ''})]);
    expect([told.status, silent.status]).toEqual([0, 0]);
    expect(silent.stderr).toBe('');
    const lines = told.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      {level: 'info', event: 'model.load', model: 'SmolLM2-135M-Instruct', seconds: expect.any(Number)},
      {level: 'debug', event: 'request.end', outcome: 'length', completionTokens: 2},
    ]);
  });
});
