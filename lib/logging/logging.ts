/** `setLogging`: what happens to models and requests, as lines of JSON or through the service's own logger. */

import {OptionError} from '../errors.js';
import {addObserver, type ModelEvent, type ObservedRequest, type Observer, type RequestEnd, type RequestWatch} from '../observers.js';
import {noOthers, object, oneOf} from '../options.js';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export type LogLevel = (typeof LEVELS)[number];

/** As pino's and bunyan's take them: the fields, then the message. */
export type LogFunction = (fields: Readonly<Record<string, unknown>>, message: string) => void;

export type Logger = Readonly<Record<LogLevel, LogFunction>>;

export interface LoggingOptions {
  /** The least that is told; 'off' tells nothing. Default 'info'. */
  level?: LogLevel | 'off';
  /** Who is told. Default: lines of JSON on stderr. */
  logger?: Logger;
}

const KINDS: Readonly<Record<ModelEvent['kind'], string>> = {
  load: 'model loaded',
  resume: 'model resumed',
  suspend: 'model suspended',
  unload: 'model unloaded',
  build: 'engine built',
};

/** Errors that a service makes itself: of who asked, or of what it was told to hold. */
const EXPECTED = new Set(['ERR_BUSY', 'ERR_TIMEOUT', 'ERR_MEMORY_PRESSURE', 'ERR_DISPOSED']);

let stop: (() => void) | undefined;

/**
 * Tells of loads, builds, models that move, and requests that fail; of each request at 'debug'. Replaces what was set
 * before. Off until it is called, or where the environment's TENSORRT_NODE_LOG is a level. What a logger throws is lost.
 * Throws OptionError.
 */
export function setLogging(options: LoggingOptions): void {
  const {level = 'info', logger = jsonLines()} = object('options', options);
  noOthers('options', options, ['level', 'logger'] satisfies (keyof LoggingOptions)[]);
  oneOf('level', level, [...LEVELS, 'off']);
  for (const each of LEVELS) {
    if (typeof object('logger', logger)[each] !== 'function') {
      throw new OptionError('logger', `an object with the functions ${LEVELS.join(', ')}`, logger);
    }
  }
  stop?.();
  stop = level === 'off' ? undefined : addObserver(new LogObserver(level, logger));
}

/** What the environment says. A level that is none is said so, and is no reason to fail. */
export function logAsEnvironmentSays(level: string | undefined, write: (line: string) => void = toStderr): void {
  if (level === undefined || level === '') return;
  const known = ([...LEVELS, 'off'] as const).find((each) => each === level);
  if (known !== undefined) setLogging({level: known, logger: jsonLines(write)});
  else jsonLines(write).warn({event: 'log.level'}, `TENSORRT_NODE_LOG must be one of ${LEVELS.join(', ')}, off; got ${level}`);
}

/** A line each, with time, level and message first. */
export function jsonLines(write: (line: string) => void = toStderr): Logger {
  const at =
    (level: LogLevel): LogFunction =>
    (fields, message) =>
      write(`${JSON.stringify({time: new Date().toISOString(), level, message, ...fields}, errorFields)}\n`);
  return {debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error')};
}

function toStderr(line: string): void {
  process.stderr.write(line);
}

/** Of an error JSON has nothing by itself. */
function errorFields(_: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const {code, cause} = value as NodeJS.ErrnoException;
  return {
    name: value.name,
    ...(code === undefined ? {} : {code}),
    message: value.message,
    ...(cause === undefined ? {} : {cause: cause instanceof Error ? errorFields('', cause) : String(cause)}),
  };
}

class LogObserver implements Observer {
  readonly #least: number;

  constructor(
    level: LogLevel,
    private readonly logger: Logger,
  ) {
    this.#least = LEVELS.indexOf(level);
  }

  request(request: ObservedRequest): RequestWatch {
    return {ended: (end) => this.#requestEnded(request, end)};
  }

  model({kind, model, seconds, error, details}: ModelEvent): void {
    const fields = {event: `${kind === 'build' ? 'engine' : 'model'}.${kind}`, model, seconds: rounded(seconds), ...details};
    if (error === undefined) this.#log('info', fields, KINDS[kind]);
    else this.#log(error.name === 'AbortError' ? 'info' : 'error', {...fields, error}, `${kind} failed: ${error.message}`);
  }

  #requestEnded({model, promptTokens, startedAt}: ObservedRequest, {outcome, error, timings, completionTokens, endedAt}: RequestEnd): void {
    const level = error === undefined || outcome === 'aborted' ? 'debug' : EXPECTED.has(codeOf(error)) ? 'warn' : 'error';
    // Nothing is made of what nobody reads.
    if (!this.#tells(level)) return;
    const fields = {
      event: 'request.end',
      model,
      outcome,
      promptTokens,
      completionTokens,
      ...(timings === undefined
        ? {}
        : {queueMs: rounded(timings.queue), prefillMs: rounded(timings.prefill), decodeMs: rounded(timings.decode)}),
      totalMs: rounded(endedAt - startedAt),
    };
    if (error === undefined) this.#log(level, fields, 'request ended');
    else this.#log(level, {...fields, error}, `request failed: ${error.message}`);
  }

  #tells(level: LogLevel): boolean {
    return LEVELS.indexOf(level) >= this.#least;
  }

  #log(level: LogLevel, fields: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#tells(level)) this.logger[level](fields, message);
  }
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** To the microsecond, of milliseconds and seconds alike. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

logAsEnvironmentSays(process.env.TENSORRT_NODE_LOG);
