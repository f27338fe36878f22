"""Prisma's client, made from a schema out of tools/prisma."""

import os
import pathlib
import shutil
import subprocess

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "tools/prisma"


def generate(schema):
    """Installs Prisma as its lock file has it and makes the client of a schema; tells the folder that it is used in."""
    environment = {
        **os.environ, "CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1", "TOOL_URL": "mysql://nobody@nowhere/nothing",
        # It would be fetched from elsewhere than npm, and is for migrations alone.
        "PRISMA_SCHEMA_ENGINE_BINARY": shutil.which("true"),
    }  # fmt: skip
    for command in (["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], ["node_modules/.bin/prisma", "generate", "--schema", schema]):
        subprocess.run(command, cwd=FOLDER, env=environment, timeout=300, check=True, capture_output=True)
    return FOLDER
