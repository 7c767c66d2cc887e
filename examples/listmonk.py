"""Tell listmonk of each new suppression as a hard bounce: listmonk.py BROKER URL USER TOKEN_FILE."""
import base64
import json
import sys
import urllib.error
import urllib.request
from contextlib import closing

from kafka import KafkaConsumer

broker, url, user, token_file = sys.argv[1:]
login = base64.b64encode(f"{user}:{open(token_file).read().strip()}".encode()).decode()
headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}


def tell(why):
    bounce = {"email": why["recipient"], "source": "mtatap", "type": "hard", "created_at": why["since"], "meta": json.dumps(why)}
    try:
        urllib.request.urlopen(urllib.request.Request(f"{url}/webhooks/bounce", json.dumps(bounce).encode(), headers), timeout=30).close()
    except urllib.error.HTTPError as refusal:
        if refusal.code != 400:  # it may pass: end, and go on from here at the next start
            raise
        print("listmonk refuses", json.dumps(bounce["email"]), file=sys.stderr)


with closing(KafkaConsumer("mtatap.suppressions", bootstrap_servers=broker, group_id="listmonk", auto_offset_reset="earliest", enable_auto_commit=False)) as topic:
    while True:
        for records in topic.poll(timeout_ms=1000).values():
            for record in records:
                if record.value:  # else released: listmonk has no call for that
                    tell(json.loads(record.value))
        topic.commit()
