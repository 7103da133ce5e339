.POSIX:
GO = go
BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w'

help: ## show these targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

run: build ## start everything for development: Postgres, server, gateway, sample API, playground
	@scripts/install-postgres
	@exec bin/touchstone dev $(ARGS)

build: ## build both commands into bin/
	@$(BUILD) -o bin/ ./cmd/...

build-hsm: ## build touchstone so that it can load PKCS #11 modules; not static
	CGO_ENABLED=1 $(GO) build -trimpath -ldflags='-s -w' -o bin/touchstone-hsm ./cmd/touchstone

test: ## run every check and test, installing what they need
	@scripts/install-postgres
	@scripts/install-test-tools
	@echo '== gofmt'; test -z "$$(gofmt -l cmd pkg migrations web e2e | tee /dev/stderr)"
	@echo '== vet'; $(GO) vet ./...
	@echo '== tests'; CGO_ENABLED=1 $(GO) test -race -timeout 20m ./...
	@echo '== what others say about the record'; cd e2e/independent && $(GO) vet -mod=mod ./... && $(GO) test -mod=mod -timeout 5m ./...
	@$(MAKE) -s build
	@echo '== browser scenarios'; cd e2e && npm ci --no-audit --no-fund --silent && npm test

bench: build ## measure whole flows beside their floor, against a server of its own
	@scripts/install-postgres
	@cd e2e && $(GO) run ./bench

clean: ## remove what was built; .touchstone with its data stays
	rm -rf bin

.PHONY: help run build build-hsm test bench clean
