# AM-MRG: from raw films to scored reports. `make help` lists the targets; each one first builds what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# --- variables to set: make stage2 DATASET=iu_xray RAW=/data/iu MODEL=small RUN=first ---------------------------------
DATASET     ?= phantom
RAW         ?=
RUN         ?= default
MODEL       ?= tiny
ARGS        ?=
VENV        ?= .venv
OUT         ?= outputs
DATA        ?= data
MODELS      ?= models
DEVICES     ?=
ACCELERATOR ?=
PYTHON      ?= python3.11
TORCH       ?= torch==2.13.0
IMAGE       ?=
PREPARE     ?=
STAGE       ?= 1
# for `make stage2`: training films are read by networks that never saw their patients (docs/stage2.md)
FOLDS       ?=
# for `make stage2` and what follows: 1, or weights such as "cider:1 clinical_f1:2" (docs/stage2.md)
REWARD      ?=
# for `make slurm` (docs/clusters.md); RUN_ALL and RUN_ONE are put before commands of all processes and of one process
NODES       ?=
GPUS        ?=
CPUS        ?=
MEM         ?=
TIME        ?= 24:00:00
PARTITION   ?=
ACCOUNT     ?=
SITE        ?=
SEEDS       ?=
COUNT       ?= 10
AGENTS      ?= 1
SWEEP       ?=
DRY         ?=
RUN_ALL     ?=
RUN_ONE     ?=

# A mistyped name of a variable, or of a list, is an error: $(call meant,NAME,NAMES) suggests the right one.
comma  := ,
quoted  = '$(subst ','\'',$(1))'
path    = $(call quoted,$(if $(filter ~/%,$(firstword $(1))),$(HOME)$(patsubst ~%,%,$(1)),$(1)))
nearest = $(shell $(or $(wildcard $(VENV)/bin/python),$(PYTHON)) -IS experiments/nearest_name.py $(call quoted,$(1)) $(2) 2>/dev/null)
meant   = $(addprefix did you mean ,$(addsuffix ?,$(call nearest,$(1),$(2))))
lines   = $(shell sed -nE $(call quoted,$(1)) $(firstword $(MAKEFILE_LIST)))
SETTABLE := $(call lines,s/^([A-Z_]+) +\?=.*/\1/p)
GIVEN    := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
$(foreach name,$(filter-out $(SETTABLE),$(GIVEN)),$(if $(call nearest,$(name),$(SETTABLE)),$(error $(name)=: \
  no such variable; $(call meant,$(name),$(SETTABLE)) make help lists them)))

$(foreach name,DATASET RUN MODEL VENV OUT DATA MODELS,$(if $(filter-out 1,$(words $($(name)))),$(error $(name)='$($(name))': must be one word, without spaces)))

# A finished run knows its data set, model and folds; targets that only use the run need not be given them again. If none
# of the run's names is given, the run whose reports were written last is used, which is said.
AFTER    := reports scores guards describe predict serve demo export
SETTLED  := $(if $(MAKECMDGOALS),$(if $(filter-out $(AFTER),$(MAKECMDGOALS)),,yes))
default   = $(filter file,$(origin $(1)))
# The data sets whose run of this name has a file: those where it is finished, or begun.
homes     = $(patsubst $(OUT)/%/$(RUN)/$(1),%,$(wildcard $(OUT)/*/$(RUN)/$(1)))
ifneq ($(and $(SETTLED),$(call default,DATASET),$(call default,RUN),$(call default,MODEL),$(call default,REWARD)),)
FINISHED := $(wildcard $(OUT)/*/*/reports.meta.json $(OUT)/*/*/reward/reports.meta.json)
NEWEST   := $(if $(FINISHED),$(subst /, ,$(patsubst $(OUT)/%/reports.meta.json,%,$(shell ls -t $(FINISHED) | head -n 1))))
ifneq ($(NEWEST),)
DATASET  := $(word 1,$(NEWEST))
RUN      := $(word 2,$(NEWEST))
REWARD   := $(if $(word 3,$(NEWEST)),1)
ifneq ($(word 2,$(FINISHED)),)
$(info using the run that was finished last: DATASET=$(DATASET) RUN=$(RUN)$(if $(REWARD), REWARD=1))
endif
endif
endif
ifeq ($(and $(SETTLED),$(call default,DATASET),$(if $(wildcard $(OUT)/$(DATASET)/$(RUN)),,absent)),absent)
HOMES    := $(or $(call homes,stage2/manifest.json),$(call homes,stage1))
ifneq ($(word 2,$(HOMES)),)
$(error RUN=$(RUN): there is one of $(HOMES); name its DATASET=)
endif
DATASET  := $(or $(HOMES),$(DATASET))
endif

# --- places -----------------------------------------------------------------------------------------------------------
ENV      := $(VENV)/.stamp
AMMRG    := $(strip $(RUN_ONE) $(VENV)/bin/python -m experiments)
TRAINER  := $(strip $(RUN_ALL) $(VENV)/bin/python -m experiments)
# With MODEL=nano the phantom has only a few studies; the size of other data sets is given.
PART     := $(if $(filter phantom-nano,$(DATASET)-$(MODEL)),nano)
FOLDER   := $(DATA)/$(DATASET)$(if $(PART),-nano)
# Prepared data in object storage (DATA=s3://bucket/prepared) are read there and never made here.
CARD     := $(if $(findstring ://,$(DATA)),,$(FOLDER)/card.json)
RUN_DIR  := $(OUT)/$(DATASET)/$(RUN)
STAGE1   := $(RUN_DIR)/stage1
MEMORY   := $(RUN_DIR)/memory
STAGE2   := $(RUN_DIR)/stage2
MINED    := $(MEMORY)/regions_report/report.json
# With REWARD, stage 2 goes on in the run's reward/, which has reports and scores of its own; the supervised ones stay.
REWARDED := $(filter-out 0,$(REWARD))
RESULT   := $(RUN_DIR)$(if $(REWARDED),/reward)
WRITER   := $(RESULT)/stage2
REPORTS  := $(RESULT)/reports.jsonl
# The target is the last file that `predict` writes: if it is killed earlier, make runs it again.
REPORTED := $(RESULT)/reports.meta.json
SCORES   := $(RESULT)/scores.json
CONFIGS  := experiments/configs
NANO     := train=64,val=16,test=16
LAUNCH   := $(if $(DEVICES),--trainer.devices=$(DEVICES)) $(if $(ACCELERATOR),--trainer.accelerator=$(ACCELERATOR)) $(if $(filter-out 1,$(NODES)),--trainer.num_nodes=$(NODES))

# The language model that an overlay names: the phantom's own is trained on its training reports, the others are fetched.
LLM_nano  := $(MODELS)/phantom-llm-nano
LLM_tiny  := $(MODELS)/phantom-llm
LLM_small := $(MODELS)/smollm2-135m-instruct
TEXT_nano := $(LLM_nano)
TEXT_tiny := $(LLM_tiny)
TEXT_small := $(MODELS)/all-minilm-l6-v2
LLM_FOLDER := $(LLM_$(MODEL))
ENCODER_small := $(MODELS)/efficientnet-lite0
ENCODER := $(ENCODER_$(MODEL))
LLM       := $(if $(LLM_FOLDER),$(LLM_FOLDER)/config.json)

# An overlay is the configuration of one stage for one model; an overlay for the data set is preferred to the general one.
overlay = $(firstword $(wildcard $(CONFIGS)/$(1)/$(DATASET)_$(MODEL).yaml $(CONFIGS)/$(1)/$(MODEL).yaml))
config  = -c $(CONFIGS)/$(1)/default.yaml -c $(CONFIGS)/data/$(DATASET).yaml -c $(call overlay,$(1)) --data.folder=$(FOLDER)
configs = $(CONFIGS)/$(1)/default.yaml $(CONFIGS)/data/$(DATASET).yaml $(call overlay,$(1))

# A finished stage stays as it is while its settings are those it was made with (kept in .settings). With other settings,
# the stage's command runs again: it compares the whole configuration and refuses by name what differs. ARGS are for the
# target named on the command line, never for the stages before it.
SETTINGS := DATASET=$(DATASET) MODEL=$(MODEL) $(LAUNCH)
# FOLDS concern stage 2 only. A finished run keeps its FOLDS, so that later targets need not be given them.
KEPT_FOLDS := $(shell head -n1 $(STAGE2)/.settings 2>/dev/null | sed -n 's/.* FOLDS=//p')
ifeq ($(FOLDS),)
FOLDS := $(KEPT_FOLDS)
endif
ifneq ($(FOLDS),)
ifneq ($(shell [ "$(FOLDS)" -ge 2 ] 2>/dev/null && echo good),good)
$(error FOLDS=$(FOLDS): must be a whole number of at least 2)
endif
ifneq ($(wildcard $(STAGE2)/.settings),)
ifneq ($(FOLDS),$(KEPT_FOLDS))
$(error FOLDS=$(FOLDS): stage 2 of RUN=$(RUN) was trained $(if $(KEPT_FOLDS),with FOLDS=$(KEPT_FOLDS),without folds); choose another RUN=)
endif
endif
endif
# With REWARD, the supervised stage 2 is a stage before the one that ARGS are for.
SUPERVISED := stage2$(if $(REWARDED),_supervised)
ifneq ($(filter-out 1,$(REWARDED)),)
REWARDS := cider clinical_f1 side_f1
NAMED   := $(foreach word,$(REWARD),$(firstword $(subst :, ,$(word))))
# each a known name and a number, and no name twice
ifeq ($(and $(shell printf '%s' $(call quoted,$(REWARD)) | grep -xE '([a-z0-9_]+:[0-9]*[.]?[0-9]+ *)+'),$(filter $(words $(NAMED)),$(words $(sort $(NAMED)))),$(if $(filter-out $(REWARDS),$(NAMED)),,known)),)
$(error REWARD=$(REWARD): must be 1, or rewards of $(REWARDS), each once and with its weight, such as "cider:1 clinical_f1:1 side_f1:1")
endif
empty :=
REWARD_WEIGHTS := --model.reward.weights='{$(subst :,: ,$(subst $(empty) $(empty),$(comma) ,$(strip $(REWARD))))}'
endif
settings = $(strip $(SETTINGS) $(if $(FOLDS),$(if $(filter stage2%,$(1)),FOLDS=$(FOLDS))))
args     = $(if $(filter $(1),$(MAKECMDGOALS)),$(ARGS))
changed  = $(if $(wildcard $(2)/.settings),$(if $(shell \
             head -n1 $(2)/.settings | grep -qxF -- '$(call settings,$(1))' || echo 1)$(if $(filter $(1),$(MAKECMDGOALS)),$(shell \
             sed -n 2p $(2)/.settings | grep -qxF -- '$(strip $(subst ','\'',$(ARGS)))' || echo 1)),FORCE))
settle   = printf '%s\n%s\n' '$(call settings,$(1))' '$(subst ','\'',$(strip $(call args,$(1))))' > $(2)/.settings

# A data set, model or stage that does not exist stops make before anything is built.
STAGED   := stage1 memories stage2 $(AFTER) ablation sweep slurm
DATASETS := $(basename $(notdir $(wildcard $(CONFIGS)/data/*.yaml)))
OVERLAYS := $(filter-out default sharded,$(basename $(notdir $(wildcard $(CONFIGS)/stage1/*.yaml))))
STAGES_ablation := 1 2
STAGES_sweep    := 1 memory 2
STAGES_slurm    := 1 2 all agents
one_of = $(strip $(call meant,$(1),$(2)) one of $(2))

# One film, whose name may contain spaces, or the names of several films.
FILMS := $(if $(IMAGE),$(if $(shell [ -e $(call path,$(IMAGE)) ] && echo there),$(call path,$(IMAGE)),$(wildcard $(IMAGE))))
ifneq ($(filter describe predict,$(MAKECMDGOALS)),)
ifeq ($(FILMS),)
$(error name a film that exists: make describe IMAGE=film.png$(if $(IMAGE), ($(IMAGE) does not)))
endif
endif

ifneq ($(filter data $(STAGED),$(MAKECMDGOALS)),)
ifeq ($(wildcard $(CONFIGS)/data/$(DATASET).yaml),)
$(error DATASET=$(DATASET): no such configuration; $(call one_of,$(DATASET),$(DATASETS)))
endif
endif
ifneq ($(filter $(STAGED),$(MAKECMDGOALS)),)
ifeq ($(call overlay,stage1),)
$(error MODEL=$(MODEL): no such overlay; $(call one_of,$(MODEL),$(OVERLAYS)))
endif
endif
# Targets that only use a run train none that is named, and go on with none by the defaults: a name may be a slip.
ifneq ($(SETTLED),)
ifeq ($(wildcard $(RUN_DIR)),)
ifneq ($(or $(if $(call default,RUN),,named),$(and $(call default,DATASET),$(call default,MODEL))),)
PLACE := $(OUT)$(if $(call default,DATASET),,/$(DATASET))
RUNS  := $(sort $(foreach stage,$(wildcard $(OUT)/$(if $(call default,DATASET),*,$(DATASET))/*/stage[12]),$(notdir $(patsubst %/,%,$(dir $(stage))))))
$(error RUN=$(RUN): no such run in $(PLACE); $(if $(call homes,stage1),there is one of $(call homes,stage1); name its DATASET=,$(if \
  $(RUNS),$(call one_of,$(RUN),$(RUNS)),there is none yet: make stage2 trains one)))
endif
else ifeq ($(or $(wildcard $(STAGE2)/manifest.json),$(if $(call default,MODEL),,named)),)
BEGUN := $(shell sed -nE 's/^DATASET=[^ ]+ MODEL=([^ ]+).*/\1/p' $(RUN_DIR)/*/.settings 2>/dev/null | head -n 1)
$(error RUN=$(RUN): not finished ($(DATASET)$(addprefix $(comma) ,$(BEGUN))); go on with make stage2 DATASET=$(DATASET) $(if \
  $(BEGUN),MODEL=$(BEGUN) RUN=$(RUN),RUN=$(RUN) and the MODEL= that it was begun with))
endif
endif
$(foreach goal,$(filter ablation sweep slurm,$(MAKECMDGOALS)),$(if $(filter $(STAGE),$(STAGES_$(goal))),,$(error \
  STAGE=$(STAGE): make $(goal) knows no such stage; one of $(STAGES_$(goal)))))
ifneq ($(filter sweep,$(MAKECMDGOALS)),)
ifneq ($(shell [ $(call quoted,$(COUNT)) -ge 1 ] 2>/dev/null && echo good),good)
$(error COUNT=$(COUNT): must be a whole number of at least 1)
endif
endif

# ARGS are looked at before what their target needs is built, which may take an hour.
COMMAND_stage1   = fit $(call config,stage1)
COMMAND_memories = predict $(call config,memory)
COMMAND_stage2   = fit $(call config,stage2)
TRAINED := $(firstword $(filter stage1 memories stage2,$(MAKECMDGOALS)))
ifneq ($(and $(ARGS),$(TRAINED),$(wildcard $(VENV)/bin/python)),)
UNKNOWN := $(shell $(VENV)/bin/python -m experiments.training.check_words $(COMMAND_$(TRAINED)) $(ARGS) 2>/dev/null)
ifneq ($(UNKNOWN),)
$(error ARGS: $(UNKNOWN))
endif
endif

.PHONY: help env lock data models stage1 memories quick stage2 reports scores guards describe predict serve demo export ablation sweep agent slurm test check bench bench-run docs FORCE
FORCE:

help: ## show this list
	@echo "AM-MRG: chest X-ray reports with their reasons. Research use only, not a medical device."
	@echo
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 18
	@echo
	@echo "Variables: DATASET=$(DATASET) RAW=$(RAW) RUN=$(RUN) MODEL=$(MODEL) OUT=$(OUT) DATA=$(DATA) VENV=$(VENV)"
	@echo "           FOLDS=$(FOLDS) REWARD='$(REWARD)' DEVICES=$(DEVICES) ACCELERATOR=$(ACCELERATOR) PYTHON=$(PYTHON) TORCH=$(TORCH) ARGS='$(ARGS)'"
	@echo "Example:   make stage2 DATASET=iu_xray RAW=/data/iu_xray MODEL=small RUN=first"

# --- environment ------------------------------------------------------------------------------------------------------
env: $(ENV) ## build the virtual environment (other targets do this too)

# uv installs where it is there, pip elsewhere. uv does not read pip's settings, so those of an index are handed on.
UV       = $(shell command -v uv)
INSTALL  = $(if $(UV),$(UV) pip install --python $(VENV)/bin/python,$(VENV)/bin/python -m pip install --disable-pip-version-check)
HAND_ON  = $(if $(UV),export UV_INDEX_STRATEGY=unsafe-best-match; for pair in UV_DEFAULT_INDEX=index-url UV_INDEX=extra-index-url \
  UV_FIND_LINKS=find-links SSL_CERT_FILE=cert; do \
    value=$$($(1) -m pip config list | sed -nE "s/^.*\.$${pair#*=}='(.*)'$$/\1/p" | head -n 1); \
    [ -z "$$value" ] || export "$${pair%=*}=$$value"; done;)
# requirements.lock is of one platform; others take the versions of constraints.txt, and what these leave open.
LOCKED   = import platform, sys; sys.exit((platform.system(), platform.machine(), *sys.version_info[:2]) != ("Linux", "x86_64", 3, 11))

# torch is installed first, by itself: otherwise pip would take the default build, often with several GB of CUDA.
$(ENV): constraints.txt requirements.lock setup.cfg pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; set PYTHON= to a Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version 2>&1) is too old; set PYTHON= to a Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) comes without venv; install it (Debian: apt install python3-venv) or set PYTHON= to another" >&2; exit 1; }
	@echo "building the environment in $(VENV) with $(if $(UV),uv,pip) (a minute or two, 2.5 GB)"
	@$(PYTHON) -m venv $(VENV)
	@$(call HAND_ON,$(VENV)/bin/python) $(INSTALL) '$(TORCH)'
	@grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	@$(VENV)/bin/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> $(VENV)/constraints.txt
	@$(call HAND_ON,$(VENV)/bin/python) if $(VENV)/bin/python -c '$(LOCKED)'; \
	  then $(INSTALL) --require-hashes --no-deps -r requirements.lock && $(INSTALL) --no-deps -e .; \
	  else $(INSTALL) -c $(VENV)/constraints.txt -e '.[dev]'; fi
	@touch $@

lock: ## write requirements.lock anew from setup.cfg and constraints.txt (needs uv)
	@$(call HAND_ON,$(PYTHON)) $(or $(UV),uv) pip compile setup.cfg --quiet --extra dev --constraint constraints.txt --generate-hashes --no-annotate \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-package torch --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --output-file requirements.lock

# --- from data to scores ----------------------------------------------------------------------------------------------
data: $(CARD) ## prepare DATASET (from RAW=) into Parquet shards and a card
	@echo "$(FOLDER) is prepared$(if $(RAW)$(filter phantom,$(DATASET)),,; without RAW= it was not compared with the raw data)"

ifeq ($(findstring ://,$(DATA)),)
# If RAW or other settings are given, prepare runs, and compares them with those the folder was made with.
$(CARD): $(if $(or $(RAW),$(PREPARE),$(call args,data)),FORCE) | $(ENV)
	@$(AMMRG) prepare --dataset $(DATASET) $(if $(RAW),--raw $(call path,$(RAW))) --out $(FOLDER) $(if $(PART),--studies $(NANO)) $(PREPARE) $(call args,data)

PHANTOM := $(DATA)/phantom$(if $(filter nano,$(MODEL)),-nano)/card.json
ifneq ($(PHANTOM),$(CARD))
$(PHANTOM):
	@$(MAKE) data DATASET=phantom RAW= PREPARE= ARGS=
endif

# What `make stage2` runs beside stage 1 prints into a file.
beside = $(if $(TOGETHER),>> $(LLM_FOLDER).log 2>&1 || { tail -n 3 $(LLM_FOLDER).log >&2; exit 1; })

$(LLM_nano)/config.json $(LLM_tiny)/config.json: $(PHANTOM) | $(ENV)
	@$(if $(TOGETHER),echo "the language model is trained beside stage 1; its progress is in $(@D).log"; mkdir -p $(MODELS); rm -f $(@D).log;) \
	  $(AMMRG) models phantom --data $(dir $<) --out $(@D) --size $(MODEL) $(beside)
else ifneq ($(filter data,$(MAKECMDGOALS)),)
$(error DATA=$(DATA) is in object storage: prepare the data in a local folder and copy it there)
endif

models: | $(ENV) ## fetch the pretrained models of MODEL=small (EfficientNet-Lite0, SmolLM2-135M-Instruct, all-MiniLM-L6-v2)
	@$(AMMRG) models small --out $(MODELS)

$(LLM_small)/config.json $(ENCODER_small)/config.json: | $(ENV)
	@$(AMMRG) models small --out $(MODELS)

# Painted films are where another stage 1 starts; nothing recalls their regions.
stage1: $(if $(filter painted,$(DATASET)),$(STAGE1)/manifest.json,$(MINED)) ## train the disease classifier and mine the region memory

STAGE1_NEEDS := $(CARD) $(call configs,stage1)
STAGE1_AFTER := $(ENV) $(if $(ENCODER),$(ENCODER)/config.json)
stage1_parts  = $(if $(ENCODER),--model.encoder.pretrained=$(ENCODER))

$(STAGE1)/manifest.json: $(STAGE1_NEEDS) $(call changed,stage1,$(STAGE1)) | $(STAGE1_AFTER)
	@$(TRAINER) fit $(call config,stage1) --trainer.default_root_dir=$(STAGE1) $(stage1_parts) $(LAUNCH) $(call args,stage1)
	@$(call settle,stage1,$(STAGE1)); touch $@

memories: $(MINED) $(MEMORY)/reports.json ## mine the region memory and encode the report memory

# If a finished stage was only checked again, its checkpoint keeps its time, so that make does not repeat what follows.
$(STAGE1)/best.ckpt: $(STAGE1)/manifest.json ;
$(STAGE2)/best.ckpt: $(STAGE2)/manifest.json ;

$(MINED): $(STAGE1)/best.ckpt
	@$(TRAINER) predict -c $(STAGE1)/config.yaml --ckpt_path=$(STAGE1)/best.ckpt

$(MEMORY)/reports.json: $(CARD) $(LLM) $(call configs,memory) $(call changed,memories,$(MEMORY)) | $(ENV)
	@$(TRAINER) predict $(call config,memory) $(if $(TEXT_$(MODEL)),--model.text_encoder=$(TEXT_$(MODEL))) --trainer.default_root_dir=$(MEMORY) $(LAUNCH) $(call args,memories) $(beside)
	@$(call settle,memories,$(MEMORY))

# Stage 1 is trained again for each fold of the patients, with the settings of the stage 1 trained on all. Each number of
# folds has its own folder. Only the training of stage 2 reads the folds.
CROSS_FIT := $(RUN_DIR)/cross_fit_$(FOLDS)
FOLDED := $(if $(FOLDS),$(if $(wildcard $(STAGE2)/.settings),,$(CROSS_FIT)/cross_fit.json))
FOLD_MINED := $(foreach fold,$(if $(FOLDS),$(shell seq 0 $$(($(FOLDS) - 1)))),$(CROSS_FIT)/fold-$(fold)/memory/regions_report/report.json)

.PRECIOUS: $(CROSS_FIT)/fold-%/stage1/manifest.json
$(CROSS_FIT)/fold-%/stage1/manifest.json: $(STAGE1)/best.ckpt
	@$(TRAINER) fit -c $(STAGE1)/config.yaml --data.folds=$(FOLDS) --data.left_out_fold=$* --trainer.default_root_dir=$(@D)
	@touch $@

$(CROSS_FIT)/fold-%/memory/regions_report/report.json: $(CROSS_FIT)/fold-%/stage1/manifest.json
	@$(TRAINER) predict -c $(<D)/config.yaml --ckpt_path=$(<D)/best.ckpt

$(CROSS_FIT)/cross_fit.json: $(FOLD_MINED)
	@$(AMMRG) crossfit $(STAGE1)/best.ckpt $(CROSS_FIT) --data $(FOLDER) --memory $(MEMORY)/regions_cross_fit_$(FOLDS)

# What stage 2 is built on.
STAGE2_NEEDS := $(MINED) $(FOLDED) $(MEMORY)/reports.json $(LLM)
stage2_parts = --model.stage1_checkpoint=$(STAGE1)/best.ckpt $(if $(LLM_FOLDER),--model.language_model=$(LLM_FOLDER)) \
  --model.regions_memory=$(MEMORY)/regions$(if $(FOLDS),_cross_fit_$(FOLDS)) --model.reports_memory=$(MEMORY)/reports \
  $(if $(FOLDS),--model.cross_fit=$(CROSS_FIT))

# Everything at its smallest, to see what a run is; its models learn next to nothing.
quick: ## a whole run with scores, about two minutes once the packages are there: make stage2 MODEL=nano RUN=quick
	$(foreach name,MODEL RUN,$(if $(call default,$(name)),,$(error $(name)=$($(name)): make quick chooses it itself; make stage2 takes it)))
	@echo "96 drawn studies, both stages trained for seconds, 16 reports written and scored: about two minutes. Their text is nonsense. Research use only."
	@$(MAKE) stage2 MODEL=nano RUN=quick

# On two cores a second thread hastens small networks little. So a first run trains the phantom's language model, and
# encodes the report memory with it, beside stage 1, each with half of the cores (nproc goes by OMP_NUM_THREADS too). The
# rest is as if all had been there.
THREADS  := $(shell echo $$(($$(nproc 2>/dev/null || echo 1) / 2)))
TOGETHER ?= $(and $(if $(filter-out stage2,$(MAKECMDGOALS)),,$(MAKECMDGOALS)),$(filter-out 0,$(THREADS)),$(filter $(LLM_nano) $(LLM_tiny),$(LLM_FOLDER)),$(if \
  $(RUN_ALL)$(RUN_ONE)$(wildcard $(LLM) $(STAGE1)/manifest.json),,$(MEMORY)/reports.json $(STAGE1)/manifest.json))

stage2: $(if $(TOGETHER),,scores) | $(ENV) ## train the report generator, write its reports and score them, after all earlier steps (FOLDS=5, REWARD=1: docs/stage2.md)
ifneq ($(TOGETHER),)
	@TOGETHER=yes OMP_NUM_THREADS=$(THREADS) $(MAKE) -j2 -o $(ENV) $(TOGETHER) || { \
	  [ -e $(LLM) ] || echo "error: no language model: see above, and $(LLM_FOLDER).log if it is there" >&2; exit 1; }
	@TOGETHER= $(MAKE) -o $(ENV) stage2
endif

ifneq ($(and $(SETTLED),$(wildcard $(STAGE2)/manifest.json),$(call default,MODEL)),)
$(STAGE2)/manifest.json: ;
else
$(STAGE2)/manifest.json: $(STAGE2_NEEDS) $(call configs,stage2) $(call changed,$(SUPERVISED),$(STAGE2)) | $(ENV)
	@$(TRAINER) fit $(call config,stage2) --trainer.default_root_dir=$(STAGE2) $(stage2_parts) $(LAUNCH) $(call args,$(SUPERVISED))
	@$(call settle,$(SUPERVISED),$(STAGE2)); touch $@
endif

# The reward phase has the settings of the supervised training, and those of reward.yaml, REWARD and ARGS.
ifneq ($(REWARDED),)
ifneq ($(and $(SETTLED),$(wildcard $(WRITER)/manifest.json),$(call default,MODEL)),)
$(WRITER)/manifest.json: ;
else
$(WRITER)/manifest.json: $(STAGE2)/best.ckpt $(CONFIGS)/stage2/reward.yaml FORCE | $(ENV)
	@$(TRAINER) fit -c $(STAGE2)/config.yaml -c $(CONFIGS)/stage2/reward.yaml --trainer.default_root_dir=$(WRITER) \
	  --model.start_from=$(STAGE2)/best.ckpt $(REWARD_WEIGHTS) $(LAUNCH) $(call args,stage2)
endif
$(WRITER)/best.ckpt: $(WRITER)/manifest.json ;
endif

reports: $(REPORTED) ## write the test reports, with baselines and guards

$(REPORTED): $(WRITER)/best.ckpt
	@$(TRAINER) predict -c $(WRITER)/config.yaml --ckpt_path=$(WRITER)/best.ckpt

scores: $(SCORES) ## score the reports, print the tables and write report.html
	@$(AMMRG) score $(REPORTS) --show $(call args,scores)

$(SCORES): $(REPORTED)
	@$(AMMRG) score $(REPORTS) --quiet

guards: $(REPORTED) ## write and score the reports again, with other films or without memories
	@$(AMMRG) guards $(RESULT) $(call args,guards)

describe: $(WRITER)/manifest.json ## describe one film, with report, findings and maps: make describe IMAGE=film.png
	@$(AMMRG) describe $(FILMS) --run $(RESULT) $(or $(call args,describe),$(call args,predict))

predict: describe

serve: $(WRITER)/manifest.json ## describe studies over HTTP, on this machine alone (docs/service.md): make serve RUN= ARGS="--port 8000"
	@$(AMMRG) serve --run $(RESULT) $(call args,serve)

demo: $(WRITER)/manifest.json ## show a page on this machine, to try a run on drawn studies or your own (docs/demo.md): make demo RUN= ARGS="--port 7860"
	@$(AMMRG) demo --run $(RESULT) $(call args,demo)

export: $(SCORES) ## write a finished run as one folder with its model card, to RUN's export/ (ARGS="--push ORG/NAME": to the hub)
	@$(AMMRG) export $(RESULT) --out $(RESULT)/export $(call args,export)

# All variants of stage 2 use the stage 1 and the memories of RUN.
ablation: $(if $(filter 2,$(STAGE)),$(STAGE2_NEEDS),$(CARD)) | $(STAGE1_AFTER) ## compare variants of a stage in one table with intervals: make ablation STAGE=1
	@$(AMMRG) ablate $(CONFIGS)/ablations/stage$(STAGE).yaml --dataset $(DATASET) --data $(FOLDER) --model $(MODEL) --out $(OUT)/$(DATASET)/ablation_stage$(STAGE)_$(MODEL) $(LAUNCH) \
	  $(if $(filter 2,$(STAGE)),$(stage2_parts),$(stage1_parts)) $(ARGS)

# --- sweeps -----------------------------------------------------------------------------------------------------------
SWEEP_FILE   := experiments/sweeps/$(if $(filter memory,$(STAGE)),memory,stage$(STAGE)).yaml
SWEEP_OUT    := $(OUT)/$(DATASET)/sweep_$(STAGE)_$(MODEL)
SWEEP_1       = fit $(call config,stage1) $(stage1_parts) $(LAUNCH)
SWEEP_memory  = predict -c $(STAGE1)/config.yaml --ckpt_path=$(STAGE1)/best.ckpt
SWEEP_2       = fit $(call config,stage2) $(stage2_parts) $(LAUNCH)
NEEDED_1      = $(STAGE1_NEEDS)
NEEDED_memory = $(STAGE1)/best.ckpt
NEEDED_2      = $(STAGE2_NEEDS) $(call configs,stage2)

sweep: $(NEEDED_$(STAGE)) | $(STAGE1_AFTER) ## try settings of a stage: make sweep STAGE=1|memory|2 COUNT= (DRY=1: without W&B's server)
	@$(AMMRG) sweep $(SWEEP_FILE) --out $(SWEEP_OUT) --count $(COUNT) $(if $(filter-out 0,$(DRY)),--dry) $(SWEEP_$(STAGE)) $(ARGS)

agent: | $(ENV)
	@$(RUN_ONE) $(VENV)/bin/wandb agent --count $(COUNT) $(SWEEP)

# --- clusters ---------------------------------------------------------------------------------------------------------
slurm: $(ENV) ## run stages as Slurm jobs: make slurm STAGE=1|2|all|agents NODES= GPUS= TIME= PARTITION= ACCOUNT= SEEDS= SITE= DRY=1
	@$(VENV)/bin/python -m experiments slurm --stage '$(STAGE)' --folder '$(RUN_DIR)' --run '$(RUN)' \
	  --nodes '$(or $(NODES),1)' --gpus '$(or $(GPUS),0)' --devices '$(or $(DEVICES),0)' --cpus '$(or $(CPUS),0)' \
	  --mem '$(MEM)' --time '$(TIME)' --partition '$(PARTITION)' --account '$(ACCOUNT)' --site '$(SITE)' --seeds '$(SEEDS)' --agents '$(AGENTS)' \
	  --args='$(subst ','\'',$(ARGS))' $(if $(filter-out 0,$(DRY)),--dry) DATASET='$(DATASET)' MODEL='$(MODEL)' RAW='$(RAW)' OUT='$(OUT)' \
	  DATA='$(DATA)' MODELS='$(MODELS)' VENV='$(VENV)' ACCELERATOR='$(ACCELERATOR)' FOLDS='$(FOLDS)'$(if $(REWARDED), REWARD='$(REWARD)') $(if $(filter agents,$(STAGE)),SWEEP='$(SWEEP)' COUNT='$(COUNT)')

# --- quality ----------------------------------------------------------------------------------------------------------
test: $(ENV) ## run the tests (no network, no GPU, minutes on two cores)
	@$(VENV)/bin/python -m pytest $(ARGS)

check: $(ENV) ## ruff, mypy (strict on ammrg) and the tests
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
	@$(VENV)/bin/python -m pytest $(ARGS)

bench: $(ENV) ## run the benchmarks for a CPU, each against a public peer: under half an hour (benchmarks/README.md)
	@$(VENV)/bin/python -m benchmarks.run $(ARGS)

bench-run: $(ENV) ## measure make stage2 from a fresh clone beside commit 30aa42c: hours
	@$(VENV)/bin/python -m benchmarks.run first_run $(ARGS)

docs: $(ENV) ## build these pages as a site, in build/site/index.html; a broken link is an error
	@$(VENV)/bin/python -m properdocs build
