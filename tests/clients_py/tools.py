"""Runs the command line clients: aws-cli, rclone, s3cmd."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from harness import ACCESS_KEY, REGION, SECRET_KEY


@dataclasses.dataclass
class Tool:
    """A command with the arguments and environment that point it at a store."""

    command: list
    env: dict
    directory: pathlib.Path

    def run(self, *args, check=True, timeout=150, **options):
        done = subprocess.run(
            [*self.command, *map(str, args)],
            env=os.environ | self.env,
            cwd=self.directory,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            capture_output=True,
            timeout=timeout,
            **options,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{self.command[0]} {args} ended with {done.returncode}:\n{done.stderr.decode()}"
            )
        return done

    def start(self, *args):
        return subprocess.Popen(
            [*self.command, *map(str, args)],
            env=os.environ | self.env,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


def need(name):
    """The path of a program. If the machine does not have it, the test is skipped with that reason."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def aws_cli(endpoint, directory):
    # The aws-cli of the tests' virtual environment (requirements.txt), not the first one in PATH.
    return Tool(
        [sys.executable, str(pathlib.Path(sys.executable).parent / "aws"), "--endpoint-url", endpoint],
        {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        },
        directory,
    )


def rclone(endpoint, directory):
    config = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ACCESS_KEY_ID": ACCESS_KEY,
        "SECRET_ACCESS_KEY": SECRET_KEY,
        "ENDPOINT": endpoint,
        "REGION": REGION,
    }
    env = {f"RCLONE_CONFIG_CAIRN_{name}": value for name, value in config.items()}
    env |= {"RCLONE_CONFIG": os.devnull}
    return Tool([need("rclone"), "--retries", "1", "--low-level-retries", "1"], env, directory)


def s3cmd(endpoint, directory):
    host = endpoint.removeprefix("http://")
    config = pathlib.Path(directory) / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\n"
        f"host_base = {host}\nhost_bucket = {host}\nbucket_location = {REGION}\n"
        "use_https = False\nmax_retries = 1\n"
    )
    return Tool([need("s3cmd"), "--config", str(config), "--no-progress"], {}, directory)
