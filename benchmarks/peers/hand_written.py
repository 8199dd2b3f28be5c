"""What a good engineer writes without Beam: kafka-python, tokenizers and ONNX Runtime, at least once.

Rows run one by one on as many threads as cores, which is fastest for this int8 model, with the settings
of the session that newsbeam found. While they run, what the last batch gave is made durable and its
offsets are committed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import bundle
from benchmarks.peers.peer import Job, Peer

#: The most records of a batch: about half a second of work.
BATCH = 256

PEERS = [
    Peer(
        "hand-written",
        "hand-written loop: kafka-python, onnxruntime",
        Job.KAFKA,
        partial(list, [sys.executable, "-m", "benchmarks.peers.hand_written", str(bundle())]),
    )
]


class Model:
    """The model on ONNX Runtime, one row a call."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.labels = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(config["max_length"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / "model_quantized.onnx"),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],
        )

    def classify(self, ids: list[int]) -> tuple[str, float]:
        """The label of a row of tokens, and its score."""
        import numpy as np

        row = np.array([ids], np.int64)
        feed = {"input_ids": row, "attention_mask": np.ones_like(row)}
        logits = self._session.run(None, feed)[0][0]
        scores = np.exp(logits - logits.max())
        best = int(scores.argmax())
        return self.labels[best], float(scores[best] / scores.sum())


def text_of(item: dict[str, Any]) -> str:
    """What is classified of a message."""
    return f"{item['title']} {item['description']}"


def main() -> None:
    """`FOLDER SERVERS SOURCE SINK GROUP`."""
    import msgspec
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.structs import OffsetAndMetadata

    folder, servers, source, sink, group = sys.argv[1:]
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    model = Model(Path(folder))
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=20)
    sent: list[Any] = []
    offsets: dict[Any, Any] = {}

    def commit() -> None:
        for future in sent:
            future.get(timeout=60)
        if offsets:
            consumer.commit(offsets)
        sent.clear()
        offsets.clear()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while not stopped.is_set():
            # Nothing waits to be committed while nothing comes.
            polled = consumer.poll(timeout_ms=0 if sent else 500, max_records=BATCH)
            records = [record for of_partition in polled.values() for record in of_partition]
            items = [msgspec.json.decode(record.value) for record in records]
            rows = model.tokenizer.encode_batch([text_of(item) for item in items])
            results = pool.map(model.classify, [row.ids for row in rows])
            commit()
            for record, item, (label, score) in zip(records, items, results, strict=True):
                value = msgspec.json.encode({**item, "category": label, "score": score})
                sent.append(producer.send(sink, value, key=record.key))
            for partition, of_partition in polled.items():
                last = of_partition[-1]
                offsets[partition] = OffsetAndMetadata(last.offset + 1, "", last.leader_epoch)
        commit()
    producer.close()
    consumer.close()


if __name__ == "__main__":
    main()
