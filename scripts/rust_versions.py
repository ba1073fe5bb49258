"""Compares the Rust versions that crates declare with those of the members that use them.

Reads `cargo metadata` from standard input. The argument is the version of the library. With
`--later`, prints the members with a later version instead.
"""

import json
import sys


def number(text):
    return [int(part) for part in text.split(".")][:2]


default = sys.argv[1]
metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
members = [packages[id] for id in metadata["workspace_members"]]
undeclared = [member["name"] for member in members if not member["rust_version"]]
if undeclared:
    sys.exit(f"no Rust version is declared by {', '.join(undeclared)}")
version = {member["id"]: member["rust_version"] for member in members}

if "--later" in sys.argv:
    for member in members:
        if number(version[member["id"]]) > number(default):
            print(member["name"], version[member["id"]])
    sys.exit()

needs = {node["id"]: node["dependencies"] for node in metadata["resolve"]["nodes"]}
late = set()
for member in members:
    seen, todo = set(), [member["id"]]
    while todo:
        id = todo.pop()
        if id not in seen:
            seen.add(id)
            todo += needs[id]
    for id in seen - {member["id"]}:
        needed = packages[id]["rust_version"]
        if needed and number(needed) > number(version[member["id"]]):
            late.add((member["name"], packages[id]["name"], needed, version[member["id"]]))
for name, dependency, needed, declared in sorted(late):
    print(f"{dependency} needs Rust {needed}, and {name} declares {declared}")
said = sum(1 for package in packages.values() if package["rust_version"])
print(f"{len(packages)} crates, {said} of them declare a Rust version, {len(late)} a later one than a member")
sys.exit(bool(late))
