"""Programs of `tools` over Debian's Hibernate, which is what the registries carry."""

import pathlib
import subprocess

TOOLS = pathlib.Path(__file__).parents[1] / "tools"
JARS = """mariadb-java-client hibernate3 hibernate-core hibernate-commons-annotations javassist dom4j antlr commons-collections3
    geronimo-jta-1.2-spec geronimo-jpa_2.0_spec slf4j-api slf4j-nop""".split()


def command(program, directory):
    """Compiles a program into a directory, and tells how it is run."""
    path = ":".join([str(directory), *(f"/usr/share/java/{jar}.jar" for jar in JARS)])
    source = TOOLS / f"{program}.java"
    subprocess.run(["javac", "-nowarn", "-cp", path, "-sourcepath", TOOLS, "-d", directory, source], timeout=120, check=True)
    # It is older than the rule that keeps it from making classes.
    return ["java", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-Dfile.encoding=UTF-8", "-cp", path, program]
