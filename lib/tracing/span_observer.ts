/** A request as a span of OpenTelemetry, with its phases as children. */

import type {Context, Link, Span, SpanContext, Tracer} from '@opentelemetry/api';

import type {ObservedRequest, Observer, RequestEnd, RequestWatch} from '../observers.js';

/** What there is of @opentelemetry/api. */
export type Api = typeof import('@opentelemetry/api');

export class SpanObserver implements Observer {
  /** Of sessions, their last sampled turn. */
  readonly #turns = new WeakMap<object, SpanContext>();

  /** `random`: from 0 to less than 1. */
  constructor(
    private readonly ratio: number,
    private readonly load: () => Api | undefined,
    private readonly random: () => number = Math.random,
  ) {}

  request(request: ObservedRequest): RequestWatch | undefined {
    if (this.random() >= this.ratio) return undefined;
    const found = this.load();
    if (found === undefined) return undefined;
    const tracer = found.trace.getTracer('tensorrt-node');
    const parent = found.context.active();
    // Spans use the clock of the day, and phases are told by another: one moment in both joins them.
    const epoch = Date.now() - performance.now();
    const links = this.#links(request.session);
    const span = tracer.startSpan(
      `text_completion ${request.model}`,
      {kind: found.SpanKind.INTERNAL, startTime: epoch + request.startedAt, links, attributes: attributesOf(request)},
      parent,
    );
    if (!span.isRecording()) return undefined;
    if (request.session !== undefined) this.#turns.set(request.session, span.spanContext());
    return new RequestSpan(found, tracer, parent, span, request, epoch);
  }

  /** A session's turn goes on from the one before, which is no parent of it. */
  #links(session: object | undefined): Link[] {
    const before = session && this.#turns.get(session);
    return before === undefined ? [] : [{context: before, attributes: {'tensorrt_node.link': 'previous_turn'}}];
  }
}

/** Names of the semantic conventions for generative AI, where they have one. */
function attributesOf({model, backend, promptTokens, maxNewTokens, temperature}: ObservedRequest) {
  return {
    'gen_ai.operation.name': 'text_completion',
    'gen_ai.provider.name': 'tensorrt-node',
    'gen_ai.request.model': model,
    'gen_ai.request.max_tokens': maxNewTokens,
    'gen_ai.request.temperature': temperature,
    'gen_ai.usage.input_tokens': promptTokens,
    'tensorrt_node.backend': backend,
  };
}

class RequestSpan implements RequestWatch {
  constructor(
    private readonly api: Api,
    private readonly tracer: Tracer,
    private readonly parent: Context,
    private readonly span: Span,
    private readonly request: ObservedRequest,
    /** What added to a time of `performance.now()` makes it one since 1970. */
    private readonly epoch: number,
  ) {}

  ended({outcome, error, timings, completionTokens, firstTokenAt, endedAt}: RequestEnd): void {
    const {span, epoch, request} = this;
    span.setAttribute('gen_ai.usage.output_tokens', completionTokens);
    span.setAttribute('gen_ai.response.finish_reasons', [outcome]);
    if (timings !== undefined && completionTokens > 0) {
      span.setAttribute('tensorrt_node.usage.cached_tokens', request.promptTokens - timings.prefilledTokens);
    }
    if (firstTokenAt !== undefined) span.addEvent('first_token', {}, epoch + firstTokenAt);
    if (timings !== undefined) {
      let at = request.startedAt;
      for (const phase of ['queue', 'prefill', 'decode'] as const) {
        // One that ended before it had none of the later ones.
        if (phase !== 'queue' && completionTokens === 0) break;
        // The backend's clock began a little later than the request's, and no phase ends after its request.
        const end = Math.min(at + timings[phase], endedAt);
        this.#phase(phase, at, end);
        at = end;
      }
    }
    if (error !== undefined) {
      span.recordException(error, epoch + endedAt);
      if (outcome === 'error') {
        span.setAttribute('error.type', (error as NodeJS.ErrnoException).code ?? error.name);
        span.setStatus({code: this.api.SpanStatusCode.ERROR, message: error.message});
      }
    }
    span.end(epoch + endedAt);
  }

  #phase(name: string, start: number, end: number): void {
    const inRequest = this.api.trace.setSpan(this.parent, this.span);
    this.tracer.startSpan(name, {startTime: this.epoch + start}, inRequest).end(this.epoch + end);
  }
}
