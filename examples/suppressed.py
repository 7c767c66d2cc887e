"""Keep the set of recipients that must not be mailed any more, and print each change: suppressed.py BROKER."""
import json
import sys

from kafka import KafkaConsumer

# Without a group, every start reads all partitions from their beginnings.
topic = KafkaConsumer("mtatap.suppressions", bootstrap_servers=sys.argv[1], group_id=None, auto_offset_reset="earliest")
suppressed = {}  # recipient to the record that says why
for change in topic:
    recipient, what = change.key.decode(), "suppressed"
    if change.value:
        suppressed[recipient] = json.loads(change.value)
    else:  # a tombstone
        suppressed.pop(recipient, None)
        what = "released"
    # Strangers choose addresses: quote.
    print(f"{what} {json.dumps(recipient)}, {len(suppressed)} in all", flush=True)
