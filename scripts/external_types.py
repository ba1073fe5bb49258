"""Prints the types and traits of other crates in the public API, from rustdoc's JSON on stdin.

Omits the standard library, and auto trait and blanket implementations.
"""

import json
import sys

doc = json.load(sys.stdin)
std = {"core", "alloc", "std"}
paths = doc["paths"]
found = set()


def visit(node):
    if isinstance(node, list):
        for each in node:
            visit(each)
    elif isinstance(node, dict):
        impl = node.get("impl")
        if isinstance(impl, dict) and (impl.get("is_synthetic") or impl.get("blanket_impl")):
            return
        # A path in a type, bound or implementation, or a `pub use` of a foreign item.
        place = paths.get(str(node.get("id")))
        if place and place["crate_id"] != 0:
            name = doc["external_crates"][str(place["crate_id"])]["name"]
            if name not in std:
                found.add("::".join(place["path"]))
        for key, value in node.items():
            if key not in ("links", "docs", "attrs", "span"):
                visit(value)


for item in doc["index"].values():
    if item["crate_id"] == 0:
        visit(item["inner"])
print("\n".join(sorted(found)))
