import * as api from '@opentelemetry/api';
import {BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor} from '@opentelemetry/sdk-trace-base';
import {afterEach, describe, expect, it} from 'vitest';

import {createRandom} from '../../test/support/random.js';
import {TensorrtNodeError} from '../errors.js';
import type {ObservedRequest, RequestEnd} from '../observers.js';
import {SpanObserver} from './span_observer.js';
import {setTracing} from './tracing.js';

const REQUEST: ObservedRequest = {
  model: 'tiny',
  backend: 'cpu',
  promptTokens: 9,
  maxNewTokens: 16,
  temperature: 0.5,
  startedAt: performance.now(),
  session: undefined,
};

function endOf(changes: Partial<RequestEnd> = {}): RequestEnd {
  const {startedAt} = REQUEST;
  return {
    outcome: 'length',
    error: undefined,
    timings: {queue: 10, prefill: 20, decode: 30, prefilledTokens: 5},
    completionTokens: 16,
    firstTokenAt: startedAt + 31,
    endedAt: startedAt + 65,
    ...changes,
  };
}

function setUp({ratio = 1, random = () => 0, withProvider = true}: {ratio?: number; random?: () => number; withProvider?: boolean} = {}) {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({spanProcessors: [new SimpleSpanProcessor(exporter)]});
  if (withProvider) api.trace.setGlobalTracerProvider(provider);
  const observer = new SpanObserver(ratio, () => api, random);
  const named = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);
  return {observer, exporter, provider, named};
}

afterEach(() => {
  api.trace.disable();
  api.context.disable();
});

const milliseconds = ([seconds, nanoseconds]: [number, number]) => seconds * 1000 + nanoseconds / 1e6;
const lasted = (span: ReadableSpan) => milliseconds(span.duration);
const between = (one: ReadableSpan, other: ReadableSpan) => milliseconds(other.startTime) - milliseconds(one.startTime);

describe('the span of a request', () => {
  it('has its phases as children, one after another, and all within it', () => {
    const {observer, named, exporter} = setUp();
    const now = Date.now();
    observer.request(REQUEST)!.ended(endOf());
    const [request] = named('text_completion tiny');
    const phases = ['queue', 'prefill', 'decode'].map((name) => named(name)[0]!);
    expect(exporter.getFinishedSpans()).toHaveLength(4);
    expect(lasted(request!)).toBeCloseTo(65, 1);
    expect(phases.map(lasted)).toEqual([10, 20, 30].map((time) => expect.closeTo(time, 1)));
    expect(phases.map((phase) => between(request!, phase))).toEqual([0, 10, 30].map((time) => expect.closeTo(time, 1)));
    for (const {parentSpanContext, spanContext} of phases.map((phase) => ({...phase, spanContext: phase.spanContext()}))) {
      expect(parentSpanContext?.spanId).toBe(request!.spanContext().spanId);
      expect(spanContext.traceId).toBe(request!.spanContext().traceId);
    }
    expect(request!.parentSpanContext).toBeUndefined();
    // The day's clock, of whoever reads it with other spans.
    expect(Math.abs(milliseconds(request!.startTime) - (now - (performance.now() - REQUEST.startedAt)))).toBeLessThan(1000);
    expect(request!.events).toMatchObject([{name: 'first_token'}]);
    expect(request!.attributes).toEqual({
      'gen_ai.operation.name': 'text_completion',
      'gen_ai.provider.name': 'tensorrt-node',
      'gen_ai.request.model': 'tiny',
      'gen_ai.request.max_tokens': 16,
      'gen_ai.request.temperature': 0.5,
      'gen_ai.usage.input_tokens': 9,
      'gen_ai.usage.output_tokens': 16,
      'gen_ai.response.finish_reasons': ['length'],
      'tensorrt_node.backend': 'cpu',
      'tensorrt_node.usage.cached_tokens': 4,
    });
  });

  it('holds phases that the backend measured a little longer', () => {
    const {observer, named} = setUp();
    observer.request(REQUEST)!.ended(endOf({endedAt: REQUEST.startedAt + 59}));
    expect(lasted(named('decode')[0]!)).toBeCloseTo(29, 1);
  });

  it('of a request that never ran has its wait alone, and of one that failed the error', () => {
    const {observer, named} = setUp();
    const timings = {queue: 50, prefill: 0, decode: 0, prefilledTokens: 0};
    observer.request(REQUEST)!.ended(endOf({outcome: 'aborted', timings, completionTokens: 0, firstTokenAt: undefined}));
    expect([named('queue').length, named('prefill').length]).toEqual([1, 0]);
    expect(named('text_completion tiny')[0]!.status).toEqual({code: api.SpanStatusCode.UNSET});
    const error = new TensorrtNodeError('ERR_BACKEND', 'it broke');
    observer.request(REQUEST)!.ended(endOf({outcome: 'error', error, timings: undefined}));
    const failed = named('text_completion tiny')[1]!;
    expect(failed.status).toEqual({code: api.SpanStatusCode.ERROR, message: 'it broke'});
    expect(failed.attributes['error.type']).toBe('ERR_BACKEND');
    expect(failed.events.map(({name}) => name)).toContain('exception');
  });

  it('is a child of the span that is active where it began', () => {
    const {observer, named, provider} = setUp();
    const caller = provider.getTracer('test').startSpan('caller');
    const active = api.trace.setSpan(api.ROOT_CONTEXT, caller);
    api.context.setGlobalContextManager({
      active: () => active,
      with: (_, work, self, ...args) => work.call(self, ...args),
      bind: (_, target) => target,
      enable() {
        return this;
      },
      disable() {
        return this;
      },
    });
    const watch = observer.request(REQUEST)!;
    api.context.disable();
    watch.ended(endOf());
    const [request] = named('text_completion tiny');
    expect(request!.parentSpanContext?.spanId).toBe(caller.spanContext().spanId);
    expect(named('decode')[0]!.spanContext().traceId).toBe(caller.spanContext().traceId);
  });

  it("is linked to that of its session's turn before", () => {
    const {observer, named} = setUp();
    for (const session of [{}, undefined]) {
      for (let turn = 0; turn < 3; turn++) observer.request({...REQUEST, session})!.ended(endOf());
    }
    const turns = named('text_completion tiny');
    expect(turns.map(({links}) => links.map(({context}) => context.spanId))).toEqual([
      [],
      [turns[0]!.spanContext().spanId],
      [turns[1]!.spanContext().spanId],
      [],
      [],
      [],
    ]);
  });
});

describe('sampling', () => {
  it('takes as many as it is told', () => {
    const {below} = createRandom(3);
    const {observer, exporter} = setUp({ratio: 0.01, random: () => below(1e6) / 1e6});
    for (let request = 0; request < 20_000; request++) observer.request(REQUEST)?.ended(endOf());
    const spans = exporter.getFinishedSpans().length / 4;
    expect(spans).toBeGreaterThan(150);
    expect(spans).toBeLessThan(250);
  });

  it('loads nothing for those it does not take, and does without what is not installed', () => {
    let loads = 0;
    const load = () => {
      loads++;
      return undefined;
    };
    expect(new SpanObserver(0.5, load, () => 0.5).request(REQUEST)).toBeUndefined();
    expect(loads).toBe(0);
    expect(new SpanObserver(0.5, load, () => 0.49).request(REQUEST)).toBeUndefined();
    expect(loads).toBe(1);
  });

  it('watches no request while no provider is registered', () => {
    const {observer, exporter} = setUp({withProvider: false});
    expect(observer.request(REQUEST)).toBeUndefined();
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it.each([
    [{sampleRatio: 2}, 'sampleRatio'],
    [{sampleRatio: '1'}, 'sampleRatio'],
    [{ratio: 1}, 'options.ratio'],
    [null, 'options'],
  ])('refuses %o', (options, option) => {
    expect(() => setTracing(options as never)).toThrow(expect.objectContaining({code: 'ERR_OPTION', option}));
  });
});
