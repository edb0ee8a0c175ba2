import { context, metrics, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type MetricData,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";

/** An OpenTelemetry SDK that keeps everything in memory. */
export class RecordingSdk {
  readonly #spans = new InMemorySpanExporter();
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #reader = new PeriodicExportingMetricReader({ exporter: this.#metrics, exportIntervalMillis: 3_600_000 });
  readonly #contexts = new AsyncLocalStorageContextManager().enable();

  register(): void {
    context.setGlobalContextManager(this.#contexts);
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#spans)] }));
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [this.#reader] }));
  }

  async unregister(): Promise<void> {
    await this.#reader.shutdown();
    this.#contexts.disable();
    context.disable();
    trace.disable();
    metrics.disable();
  }

  /** The spans that `work` left, in the order in which they ended. */
  async during(work: () => Promise<unknown>): Promise<ReadableSpan[]> {
    this.#spans.reset();
    await work();
    return this.#spans.getFinishedSpans();
  }

  /** All instruments with their present values. */
  async read(): Promise<MetricData[]> {
    this.#metrics.reset();
    await this.#reader.forceFlush();
    return this.#metrics
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap((scope) => scope.metrics);
  }
}
