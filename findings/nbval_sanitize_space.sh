#!/usr/bin/env bash
# nbval: a sanitize rule that replaces by nothing works only with a space after "replace:".
#
# Library   nbval 0.11.0
# Expected  "replace:" and "replace: " are the same rule (configparser, whose section syntax the file has,
#           strips both), or the first is refused
# Seen      with the space the notebook passes; without it the rule is dropped without a word and it fails
# Why       editors and linters strip spaces at the end of a line: the rule vanishes with the next save
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet nbval==0.11.0 nbformat==5.11.1 ipykernel==7.4.0
cd "$place"
"$place/venv/bin/python" - <<'END'
import nbformat

cell = nbformat.v4.new_code_cell("print('took 3 s')", execution_count=1)
cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="took 4 s\n")]
nbformat.write(nbformat.v4.new_notebook(cells=[cell]), "seconds.ipynb")
END
printf '[seconds]\nregex: [0-9]+ s\nreplace: \n' >with_space.cfg
printf '[seconds]\nregex: [0-9]+ s\nreplace:\n' >without.cfg
outcome() {
    if "$place/venv/bin/python" -m pytest -q --nbval --nbval-current-env --nbval-sanitize-with "$1" seconds.ipynb >"$1.log" 2>&1; then echo passed; else echo failed; fi
}
with_space=$(outcome with_space.cfg)
without=$(outcome without.cfg)
echo "'replace: ' $with_space, 'replace:' $without ($(tail -1 without.cfg.log))"
grep -q "1 failed" without.cfg.log && [ "$with_space" = passed ] && [ "$without" = failed ]
